"""The reference for lists: an ordinary DRF viewset over the same table, under daphne.

ModelSerializer, PageNumberPagination, simplejwt as it comes, sessions and all default
middleware. Settings module of the process: ``bench.untuned``.
"""

import os

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.untuned_urls"
ASGI_APPLICATION = "bench.untuned_asgi.application"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 10,
}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.untuned")
