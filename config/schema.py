"""The OpenAPI description shows answers as they go out: in the envelope."""

from collections.abc import Container
from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from uritemplate import variables

from config.envelope import default_message

Schema = dict[str, Any]


def enveloped(data: Schema, code: Schema) -> Schema:
    """The schema of an answer whose ``data`` and ``code`` are described so."""
    return {
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {"code": code, "message": {"type": "string"}, "data": data},
    }


_NULL: Schema = {"type": "null"}
_ERROR = enveloped(_NULL, {"type": "integer", "description": "The HTTP status."})


class TokenScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]
    """``Authorization: Bearer <access token>``."""

    target_class = "accounts.authentication.TokenAuthentication"
    name = "token"


class EnvelopeSchema(AutoSchema):
    """Puts each JSON success into ``{"code", "message", "data"}``, and says how it can fail.

    Success is 200, never 201 or 204. Of the errors, those are told that follow from a
    request's parts; a view names others with ``responses={200: …, 403: None}``.
    """

    def get_tags(self) -> list[str]:
        room: str = self.view.__module__.partition(".")[0]
        return [room]

    def _get_response_bodies(self, direction: str = "response") -> Schema:
        given: Any = self.get_response_serializers()
        by_code: dict[int, Any] = given if isinstance(given, dict) else {200: given}
        success = self._get_response_for_code(by_code[200], "200", None, direction)
        failures = sorted({*by_code, *self._failures(by_code)} - {200})
        return {"200": success, **{str(code): self._failure(code) for code in failures}}

    def _get_response_for_code(
        self,
        serializer: Any,
        status_code: str,
        media_types: list[str] | None = None,
        direction: str = "response",
    ) -> Schema:
        response: Schema = super()._get_response_for_code(  # type: ignore[no-untyped-call]
            serializer, status_code, media_types, direction
        )
        response["description"] = default_message(int(status_code))
        if getattr(self.view, "bare", False):
            return response
        content = response.setdefault("content", {}).setdefault("application/json", {})
        data = content.get("schema", _NULL)
        content["schema"] = enveloped(data, {"const": int(status_code)})
        return response

    def _failures(self, named: Container[int]) -> set[int]:
        codes = {429, 500}
        if self._get_request_body():  # type: ignore[no-untyped-call]
            codes |= {400, 413, 415}
        if any(parameter["in"] == "query" for parameter in self._get_parameters()):
            codes.add(400)
        if variables(self.path) and 403 not in named:  # which tells no more than it has to
            codes.add(404)
        if self.view.get_authenticators():
            codes.add(401)
        return codes

    def _failure(self, code: int) -> Schema:
        error = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Error", type=ResolvedComponent.SCHEMA, schema=_ERROR, object="Error"
        )
        self.registry.register_on_missing(error)
        response: Schema = {
            "description": default_message(code),
            "content": {"application/json": {"schema": error.ref}},
        }
        if code == 429:
            seconds = {"schema": {"type": "integer"}, "description": "Seconds."}
            response["headers"] = {"Retry-After": seconds}
        return response
