"""The one settings file, driven by the environment. docs/settings.md lists every variable."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import django_stubs_ext
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config import env, logs
from config.openapi import openapi_settings
from config.passwords import AUTH_PASSWORD_VALIDATORS, PASSWORD_HASHERS  # noqa: F401
from config.secret_key import secret_key
from config.storage import media_storage
from config.version import read_version
from voice import openai_servers

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env.load_dotenv(BASE_DIR / ".env")
VERSION = read_version(BASE_DIR / "CHANGELOG.md")

# --- Where things are kept -------------------------------------------------------------
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".data"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)
MODELS_DIR = Path(env.text("MODELS_DIR", str(DATA_DIR / "models")))
HF_ENDPOINT = env.text("HF_ENDPOINT", "https://huggingface.co")
SPEECH = env.boolean("SPEECH", default=True)

# --- Safety -----------------------------------------------------------------------------
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, maximum=65535)
ASGI_SERVER = env.choice("ASGI_SERVER", "uvicorn", among=("uvicorn", "daphne"))
DEBUG = env.boolean("DEBUG", default=False)
LOCAL = HOST in ("127.0.0.1", "localhost", "::1")
SECRET_KEY = secret_key(env.text("SECRET_KEY"), DATA_DIR / "secret_key", local=LOCAL, host=HOST)
if DEBUG and not LOCAL:
    raise ImproperlyConfigured(f"DEBUG must be off where HOST is {HOST}, not loopback")
PUBLIC_BASE_URL = env.text("PUBLIC_BASE_URL").rstrip("/")
_public = urlsplit(PUBLIC_BASE_URL)
if PUBLIC_BASE_URL and (_public.scheme not in ("http", "https") or not _public.hostname):
    raise ImproperlyConfigured("PUBLIC_BASE_URL must be like https://example.org")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or [
    *(["127.0.0.1", "localhost", "[::1]"] if LOCAL else []),
    *([_public.hostname] if _public.hostname else []),
]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS") or (
    [f"{_public.scheme}://{_public.netloc}"] if _public.hostname else []
)
HTTPS = _public.scheme == "https"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS and env.boolean("SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^api/health$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Mode: embedded (no Redis) or scaled ------------------------------------------------
REDIS_URL = env.text("REDIS_URL")
EMBEDDED = not REDIS_URL
TURN_RUNNER = env.choice("TURN_RUNNER", "celery", among=("celery", "inline"))
WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 1, minimum=1, maximum=64)

# --- Application ------------------------------------------------------------------------
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "daphne",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "accounts",
    "voice",
    "uploads",
    "roles",
    "chat",
    "realtime",
    "config.apps.ConfigConfig",
]
MIDDLEWARE = [
    "config.middleware.RequestContextMiddleware",
    "config.middleware.ApiGuardMiddleware",
    "config.openai.OpenAIMiddleware",
    "config.rest.RestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.middleware.AdminTimeZoneMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
APPEND_SLASH = False

# --- Language and time ------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("简体中文")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "UTC"  # of the API and the log
ADMIN_TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True

# --- Database ---------------------------------------------------------------------------
try:
    DATABASES = {
        "default": dj_database_url.parse(
            env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'liyuan.sqlite3'}")
        )
    }
except ValueError as error:
    raise ImproperlyConfigured(f"DATABASE_URL: {error}") from error
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
            "PRAGMA mmap_size=134217728; PRAGMA cache_size=-16000;"
        ),
    }
else:
    # Each request of an ASGI server runs in a fresh thread, where CONN_MAX_AGE keeps nothing.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": env.integer("DATABASE_POOL_SIZE", 16, minimum=2, maximum=200),
        "timeout": 10,
        "max_idle": 300,
    }
    # The pool hands a broken connection out once after a restart of the server, unless asked.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- Redis: broker, bus, cache, channel layer ------------------------------------------
CACHES: dict[str, dict[str, object]]
CHANNEL_LAYERS: dict[str, dict[str, object]]
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object]
if EMBEDDED:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            # Above the default of 300 it would forget revoked tokens and counted requests.
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CELERY_BROKER_URL = "memory://"
    CELERY_BROKER_TRANSPORT = "chat.local_broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {}
else:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "liyuan",
        }
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            # redis-py's default socket_timeout of 5 s kills idle subscriptions
            # (django/channels_redis#422).
            "CONFIG": {
                "hosts": [{"address": REDIS_URL, "socket_timeout": None}],
                "prefix": "liyuan",
            },
        }
    }
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "global_keyprefix": "liyuan:",
        "visibility_timeout": 3600,
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
        "health_check_interval": 10,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "background"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 3,
    "interval_start": 0.1,
    "interval_step": 0.3,
    "interval_max": 0.5,
}
CELERY_TIMEZONE = ADMIN_TIME_ZONE
CELERY_BEAT_SCHEDULE = {
    "uploads-retention": {
        "task": "uploads.tasks.delete_expired",
        "schedule": crontab(minute=17),
    },
    "speech-clean-up": {
        "task": "voice.tasks.clean_up_speech",
        "schedule": crontab(minute=43),
    },
    "turns-sweep": {"task": "chat.tasks.sweep_turns", "schedule": 30.0},
    "tokens-flush": {"task": "accounts.tasks.delete_expired_tokens", "schedule": crontab(hour=4)},
}
# Turns at once in one worker process: threads that only wait for the shared loop.
TURN_CONCURRENCY = env.integer("TURN_CONCURRENCY", 64, minimum=1, maximum=1000)

# --- Media ------------------------------------------------------------------------------
MEDIA_ROOT = Path(env.text("MEDIA_ROOT", str(DATA_DIR / "media")))
MEDIA_URL = "/uploads/"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise serves from the sources; it warns without it
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 0  # revalidated by date each time: names carry no hash
STORAGES = {
    "default": media_storage(
        env.text("STORAGE_URL"),
        secret_key=env.text("STORAGE_SECRET_KEY"),
        directory=MEDIA_ROOT,
        base_url=MEDIA_URL,
    ),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
UPLOAD_MAX_BYTES = env.integer("UPLOAD_MAX_BYTES", 10 * 2**20, minimum=1024)
UPLOAD_MAX_SECONDS = env.number("UPLOAD_MAX_SECONDS", 60, minimum=1)
UPLOAD_RETENTION_DAYS = env.number("UPLOAD_RETENTION_DAYS", 30)  # 0 keeps them for ever
FOREIGN_URLS = env.boolean("FOREIGN_URLS", default=True)
FOREIGN_URL_HOSTS = env.words("FOREIGN_URL_HOSTS")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20

# --- Accounts ---------------------------------------------------------------------------
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.number("ACCESS_TOKEN_MINUTES", 60, minimum=1)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.number("REFRESH_TOKEN_DAYS", 30, minimum=1)),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "UPDATE_LAST_LOGIN": True,
    "ISSUER": "liyuan",
    "CHECK_REVOKE_TOKEN": True,  # a changed password ends the tokens made before
}
RATE_LIMITS = env.boolean("RATE_LIMITS", default=True)
# What a user may use without a limit of their own in the admin; 0 is no limit.
USER_REQUESTS_PER_MINUTE = env.integer("USER_REQUESTS_PER_MINUTE", 600)
USER_CONCURRENCY = env.integer("USER_CONCURRENCY", 128)
USER_MONTHLY_CHARACTERS = env.integer("USER_MONTHLY_CHARACTERS", 0)
USER_MONTHLY_SECONDS = env.integer("USER_MONTHLY_SECONDS", 0)
USER_MONTHLY_TOKENS = env.integer("USER_MONTHLY_TOKENS", 0)
API_KEYS_PER_USER = env.integer("API_KEYS_PER_USER", 20, maximum=1000)
USAGE_PRICES = env.prices("USAGE_PRICES")

# --- REST -------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["config.envelope.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.parsing.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.pagination.PagePagination",
    "DEFAULT_SCHEMA_CLASS": "config.schema.EnvelopeSchema",
    "EXCEPTION_HANDLER": "config.errors.handle_error",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.negotiation.JsonOnly",
    "DEFAULT_THROTTLE_CLASSES": [
        "accounts.throttling.UserThrottle",
        "accounts.throttling.AnonymousThrottle",
    ]
    if RATE_LIMITS
    else [],
    "DEFAULT_THROTTLE_RATES": {
        "user": "600/min",
        "anon": "120/min",
        "login": "10/min",
        "register": "20/hour",
        "upload": "60/min",
        "sample": "30/min",
    },
    "NUM_PROXIES": env.integer("PROXIES", 0, maximum=10),
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = openapi_settings(VERSION)

# --- Providers --------------------------------------------------------------------------
LLM = env.choice("LLM", "", among=("", "local"))
LLM_PORT = env.integer("LLM_PORT", 8011, minimum=1, maximum=65_535)
LLM_BASE_URL = env.text("LLM_BASE_URL", f"http://127.0.0.1:{LLM_PORT}/v1" if LLM else "")
LLM_API_KEY = env.text("LLM_API_KEY")
LLM_MODEL = env.text("LLM_MODEL", LLM)
LLM_MAX_TOKENS = env.integer("LLM_MAX_TOKENS", 600, minimum=16, maximum=32_000)
# The local model reads 20 to 60 tokens a second on two cores, and holds 4096.
LLM_CONTEXT_TOKENS = env.integer(
    "LLM_CONTEXT_TOKENS", 3000 if LLM else 6000, minimum=1000, maximum=1_000_000
)
LLM_FIRST_SECONDS = env.number("LLM_FIRST_SECONDS", 150 if LLM else 4.5, minimum=0.1, maximum=600)
LLM_TEMPERATURE = env.number("LLM_TEMPERATURE", 0.8, maximum=2)
ASR_PROVIDERS = env.words("ASR_PROVIDERS")
ASR_BASE_URL = env.text("ASR_BASE_URL")
ASR_API_KEY = env.text("ASR_API_KEY")
ASR_MODEL = env.text("ASR_MODEL", "whisper-1")
ASR_SERVER = env.choice("ASR_SERVER", "auto", among=("auto", *openai_servers.ROWS))
ASR_FIRST_SECONDS = env.number("ASR_FIRST_SECONDS", 4.5, minimum=0.1, maximum=600)
TTS_PROVIDERS = env.words("TTS_PROVIDERS")
TTS_BASE_URL = env.text("TTS_BASE_URL")
TTS_API_KEY = env.text("TTS_API_KEY")
TTS_MODEL = env.text("TTS_MODEL", "tts-1")
TTS_SERVER = env.choice("TTS_SERVER", "auto", among=("auto", *openai_servers.ROWS))
TTS_VOICE = env.text("TTS_VOICE", "alloy")
TTS_FIRST_SECONDS = env.number("TTS_FIRST_SECONDS", 4.5, minimum=0.1, maximum=600)
_CAPABILITIES = ("llm", "asr", "tts")
PROVIDER_CONCURRENCY = env.amounts("PROVIDER_CONCURRENCY", among=_CAPABILITIES)
PROVIDER_RATE = env.amounts("PROVIDER_RATE", among=_CAPABILITIES)
SPEECH_CACHE_MB = env.integer("SPEECH_CACHE_MB", 512)  # 0 keeps nothing
SPEECH_CACHE_DAYS = env.number("SPEECH_CACHE_DAYS", 30)  # 0 keeps it while there is room
DASHSCOPE_API_KEY = env.text("DASHSCOPE_API_KEY")
DASHSCOPE_WEBSOCKET_BASE_URL = env.text(
    "DASHSCOPE_WEBSOCKET_BASE_URL",
    env.text("COSYVOICE_ENDPOINT") or "wss://dashscope.aliyuncs.com/api-ws/v1/inference",
)
DASHSCOPE_HTTP_BASE_URL = env.text(
    "DASHSCOPE_HTTP_BASE_URL", "https://dashscope.aliyuncs.com/api/v1"
).rstrip("/")
DASHSCOPE_WORKSPACE = env.text("DASHSCOPE_WORKSPACE")
DASHSCOPE_ASR_MODEL = env.text("DASHSCOPE_ASR_MODEL", "paraformer-realtime-v2")
DASHSCOPE_SHORT_TEXT = env.choice("DASHSCOPE_SHORT_TEXT", "websocket", among=("websocket", "http"))
DASHSCOPE_MAX_CONNECTIONS = env.integer("DASHSCOPE_MAX_CONNECTIONS", 200, minimum=1, maximum=5000)
QINIU_API_KEY = env.text("QINIU_API_KEY")
QINIU_BASE_URL = env.text("QINIU_BASE_URL", "https://api.qnaigc.com/v1").rstrip("/")
QINIU_TTS_TRANSPORT = env.choice("QINIU_TTS_TRANSPORT", "websocket", among=("websocket", "http"))

# --- Sockets ----------------------------------------------------------------------------
SOCKET_IDLE_SECONDS = env.number("SOCKET_IDLE_SECONDS", 300, minimum=1)
SOCKETS_PER_USER = env.integer("SOCKETS_PER_USER", 20, minimum=1)

# --- /v1/realtime -----------------------------------------------------------------------
REALTIME_ENABLED = env.boolean("REALTIME_ENABLED", default=True)
MAX_WEBSOCKET_CONNECTIONS = env.integer("MAX_WEBSOCKET_CONNECTIONS", 20, minimum=1)  # of a user
REALTIME_RUNNER = env.choice("REALTIME_RUNNER", "inline", among=("inline", "celery"))
REALTIME_ROLE = env.integer("REALTIME_ROLE", 0)  # 0: the first preset
REALTIME_INSTRUCTIONS = env.choice("REALTIME_INSTRUCTIONS", "add", among=("add", "replace"))
REALTIME_DIALECT = env.choice("REALTIME_DIALECT", "ga", among=("ga", "beta"))
REALTIME_MAX_MINUTES = env.number("REALTIME_MAX_MINUTES", 30, minimum=0.05, maximum=60)
REALTIME_IDLE_MINUTES = env.number("REALTIME_IDLE_MINUTES", 10, minimum=0.05)
REALTIME_LEAD_SECONDS = env.number("REALTIME_LEAD_SECONDS", 4, minimum=0.5, maximum=600)
REALTIME_SPECULATION = env.boolean("REALTIME_SPECULATION", default=True)

# --- Log --------------------------------------------------------------------------------
LOG_LEVEL = env.choice("LOG_LEVEL", "info", among=("debug", "info", "warning", "error"))
LOG_FORMAT = env.choice("LOG_FORMAT", "console" if LOCAL else "json", among=("console", "json"))
LOGGING = logs.configuration(level=LOG_LEVEL.upper(), form=LOG_FORMAT)

# --- Metrics ----------------------------------------------------------------------------
METRICS_TOKEN = env.text("METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN must have at least 16 characters")
METRICS_NETWORKS = env.networks("METRICS_NETWORKS", "127.0.0.0/8,::1/128")

UNFOLD = {
    "SITE_TITLE": "梨园 Liyuan",
    "SITE_HEADER": "梨园 Liyuan",
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
}
