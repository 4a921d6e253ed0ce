"""Throttles: how often one user or one address may ask."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.throttling import AnonRateThrottle, SimpleRateThrottle, UserRateThrottle

if TYPE_CHECKING:  # REST framework reads its throttles while its views are being imported
    from rest_framework.request import Request
    from rest_framework.views import APIView


class UserThrottle(UserRateThrottle):
    scope = "user"


class AnonymousThrottle(AnonRateThrottle):
    scope = "anon"


class _Switchable(SimpleRateThrottle):
    """Obeys RATE_LIMITS although a view names it."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        return not settings.RATE_LIMITS or super().allow_request(request, view)


class LoginThrottle(_Switchable):
    """Counts an address and a user name together, so that nobody locks out another."""

    scope = "login"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        name = request.data.get("username") if isinstance(request.data, dict) else None
        ident = f"{self.get_ident(request)}:{str(name)[:150].lower()}"
        digest = hashlib.sha256(ident.encode()).hexdigest()[:32]
        return self.cache_format % {"scope": self.scope, "ident": digest}


class RegisterThrottle(_Switchable, AnonRateThrottle):
    scope = "register"


class UploadThrottle(_Switchable, UserRateThrottle):
    scope = "upload"


class SampleThrottle(_Switchable):
    """Counts an address: whoever listens to voices need not be logged in."""

    scope = "sample"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}
