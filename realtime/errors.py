"""What a client is told when it asks for something that cannot be."""

from typing import Any, Literal

from realtime.clean_text import whole

ErrorKind = Literal["invalid_request_error", "rate_limit_error", "server_error"]


class ProtocolError(Exception):
    """A client event that is refused, with all that the ``error`` event says of it.

    Nothing has changed when it is raised.

    Args:
        code: OpenAI's name of the error.
        message: For the one who writes the client; it never quotes audio or texts.
        param: Path of the field at fault, as ``session.audio.output.voice``.
        kind: ``type`` of the error.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        kind: ErrorKind = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.kind: ErrorKind = kind

    def body(self, event_id: object = None) -> dict[str, Any]:
        """The ``error`` event, without an id of its own.

        Args:
            event_id: Of the client's event, as it came: what is no short string is left out.
        """
        return {
            "type": "error",
            "error": {
                "type": self.kind,
                "code": self.code,
                "message": str(self),
                "param": self.param,
                "event_id": known_event_id(event_id),
            },
        }


def known_event_id(event_id: object) -> str | None:
    """The id of a client's event, as it came if it can be sent; None for no short string."""
    return whole(event_id) if isinstance(event_id, str) and len(event_id) <= 512 else None


def invalid(param: str, expected: str) -> ProtocolError:
    """A value that will not do."""
    return ProtocolError("invalid_value", f"Invalid '{param}': expected {expected}.", param=param)


def missing(param: str) -> ProtocolError:
    """A field without which nothing can be done."""
    return ProtocolError(
        "missing_required_parameter", f"Missing required parameter: '{param}'.", param=param
    )


def unsupported(param: str, what: str) -> ProtocolError:
    """Something of the protocol that this server does not do."""
    return ProtocolError("unsupported_value", f"{what} (in '{param}').", param=param)
