"""No secret reaches the log."""

import pytest

from config.logs import redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {JWT}",
        f"refused {JWT}!",
        "key sk-abcdefghijklmnop refused",
        "GET /api/ws/chat?ticket=Zm9vYmFyYmF6",
        f"/uploads/{'0a' * 16}.mp3",
    ],
)
def test_credentials_inside_text_are_blanked(text):
    event = redact(None, "info", {"event": text})
    assert "[redacted]" in event["event"]
    for secret in (JWT, "abcdefghijklmnop", "Zm9vYmFyYmF6", "0a" * 16):
        assert secret not in event["event"]


@pytest.mark.parametrize(
    "name", ["password", "access_token", "refresh_token", "LLM_API_KEY", "Authorization", "ticket"]
)
def test_values_under_telling_names_are_blanked(name):
    assert redact(None, "info", {name: "x"})[name] == "[redacted]"


def test_other_values_stay():
    event = {"event": "turn ended", "turn_id": 5, "path": "/api/role/list"}
    assert redact(None, "info", dict(event)) == event
