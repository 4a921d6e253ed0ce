"""Structured logs: one line an event, with request and turn ids, without secrets."""

import re
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_NAMES = re.compile(
    r"token|password|secret|api_key|authorization|cookie|ticket", re.IGNORECASE
)
# A JWT, an API key, a bearer header, a ticket, a key of an address or the address of a file
# inside any text.
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b(?:sk-|ek_)[\w-]{8,}|(?<=[Bb]earer )\S+"
    r"|(?<=ticket=)[\w-]+|(?<=[?&]token=)[^&\s\"]+|(?<=[?&]api_key=)[^&\s\"]+"
    r"|(?<=/uploads/)[0-9a-f]{32}"
)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Blanks values under telling names and anything that looks like a credential."""
    event.pop("color_message", None)  # uvicorn's second copy of its message
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = "[redacted]"
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub("[redacted]", value)
    return event


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )


def configuration(*, level: str, form: str) -> dict[str, Any]:
    """``LOGGING`` for Django; structlog and the standard library share one output.

    Args:
        level: A level of the standard library.
        form: ``json`` (a line each, for machines) or ``console``.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form == "json":
        final += [
            # Without locals, which hold passwords and tokens.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        final += [redact, _console()]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": final,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Our own middleware logs requests; these would log query strings.
            "uvicorn": {"handlers": [], "propagate": True, "level": "WARNING"},
            "uvicorn.access": {"level": "CRITICAL", "propagate": False},
            "daphne": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
            "django.channels.server": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
            "openai": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "websockets": {"level": "WARNING"},  # at debug it tells each header and frame
            "kombu": {"level": "ERROR"},
            "jieba": {"level": "WARNING"},
            "faster_whisper": {"level": "WARNING"},
        },
    }
