"""What comes and goes on ``/api/ws/chat`` and ``/api/ws/voice_chat``, as the contract has it."""

import json
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from django.utils.translation import gettext as _

from chat.models import Modality

MAX_FRAME = 64 * 1024  # characters of one client message; audio comes by URL
MAX_TEXT = 8000
MAX_URL = 2000
MAX_ID = 64
MAX_INTEGER = 2**63 - 1
FORMATS = frozenset({"mp3", "wav", "m4a", "aac", "mp4", "ogg", "oga", "opus", "flac", "webm"})


class BadMessage(Exception):
    """A client message that breaks the contract; ``str(error)`` is for the client.

    Args:
        reason: What is wrong with it.
        code: 400, or 413 for one that is too large.
        client_id: The message's id, where it has a sound one.
    """

    def __init__(self, reason: str, *, code: int = 400, client_id: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.client_id = client_id


@dataclass(frozen=True, slots=True)
class Say:
    """The user says something.

    Attributes:
        role_id: To whom.
        text: What was typed; empty for audio.
        url: Where the audio is; empty for text.
        reply: How to answer; None lets the server choose.
        client_id: The client's message id; empty where it gave none.
        stream: The client wants the reply piece by piece.
        conversation_id: Which conversation; None for the newest.
    """

    role_id: int
    text: str
    url: str
    reply: Modality | None
    client_id: str
    stream: bool
    conversation_id: int | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """The user wants a turn stopped; without an id the running one."""

    client_id: str


class ErrorMessage(TypedDict):
    """An error on ``/api/ws/chat``."""

    error: str
    code: int
    id: NotRequired[str]


class ReplyMessage(TypedDict):
    """A reply, or a piece of one, on ``/api/ws/chat``."""

    role_id: int
    type: Literal["text", "voice", "delta", "audio", "transcript"]
    message: NotRequired[str]
    data: NotRequired[str]
    format: NotRequired[str]
    is_final: NotRequired[bool]
    id: NotRequired[str]
    message_id: NotRequired[int | None]
    conversation_id: NotRequired[int]
    text: NotRequired[str]
    status: NotRequired[str]


class AudioMessage(TypedDict):
    """A piece of speech, or an error, on ``/api/ws/voice_chat``."""

    type: Literal["audio", "error"]
    data: str
    format: str
    is_final: bool
    id: NotRequired[str]
    code: NotRequired[int]
    message_id: NotRequired[int | None]
    conversation_id: NotRequired[int]
    text: NotRequired[str]
    status: NotRequired[str]


def parse_chat(raw: str) -> Say | Cancel:
    """A message to ``/api/ws/chat``. Raises BadMessage."""
    fields = _object(raw)
    if fields.get("type") == "cancel":
        return Cancel(_client_id(fields))
    common = _Common(fields)
    kind = common.choice("type", ("text", "voice"))
    reply = common.choice("response_type", (0, 1, 2))
    text = url = ""
    if kind == "text":
        text = common.string("message", MAX_TEXT, too_long=_("消息过长，最多 %d 个字符"))
    else:
        url = common.string("message", MAX_URL)
        common.audio_format()
    return common.say(text, url, (Modality.TEXT, Modality.VOICE, None)[reply])


def parse_voice_chat(raw: str) -> Say | Cancel:
    """A message to ``/api/ws/voice_chat``. Raises BadMessage."""
    fields = _object(raw)
    if fields.get("type") == "cancel":
        return Cancel(_client_id(fields))
    common = _Common(fields)
    url = common.string("voice_url", MAX_URL)
    common.audio_format()
    return common.say("", url, Modality.VOICE)


class _Common:
    """Reads fields; every error names the field and carries the message's id."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self._id = _client_id(fields)
        self._role_id = self._integer("role_id")

    def say(self, text: str, url: str, reply: Modality | None) -> Say:
        stream = self._fields.get("stream", False)
        if not isinstance(stream, bool):
            raise self._bad(_("stream 必须是布尔值"))
        given = self._fields.get("conversation_id")
        conversation_id = None if given is None else self._integer("conversation_id")
        return Say(self._role_id, text, url, reply, self._id, stream, conversation_id)

    def _bad(self, reason: str, code: int = 400) -> BadMessage:
        return BadMessage(reason, code=code, client_id=self._id)

    def _given(self, name: str) -> Any:
        value = self._fields.get(name)
        if value is None:
            raise self._bad(_("缺少 %s") % name)
        return value

    def _integer(self, name: str) -> int:
        value = self._given(name)
        if type(value) is not int or not 0 < value <= MAX_INTEGER:
            raise self._bad(_("%s 必须是正整数") % name)
        return value

    def choice(self, name: str, among: tuple[Any, ...]) -> Any:
        value = self._given(name)
        if type(value) is not type(among[0]) or value not in among:
            options = ", ".join(map(str, among))
            raise self._bad(
                _("%(name)s 必须是 %(options)s 之一") % {"name": name, "options": options}
            )
        return value

    def string(self, name: str, longest: int, too_long: str = "") -> str:
        value = self._given(name)
        if not isinstance(value, str):
            raise self._bad(_("%s 必须是字符串") % name)
        value = value.strip()
        if not value:
            raise self._bad(_("%s 不能为空") % name)
        if len(value) > longest:
            raise self._bad(too_long % longest if too_long else _("%s 过长") % name, 413)
        if not _is_storable(value):
            raise self._bad(_("%s 含有无效字符") % name)
        return value

    def audio_format(self) -> None:
        value = self.string("format", 16).lower()
        if value not in FORMATS:
            options = ", ".join(sorted(FORMATS))
            raise self._bad(_("不支持的音频格式，可用: %s") % options)


def _object(raw: str) -> dict[str, Any]:
    if len(raw) > MAX_FRAME:
        raise BadMessage(_("消息过大"), code=413)
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadMessage(_("消息格式错误: 不是有效的 JSON")) from None
    if not isinstance(fields, dict):
        raise BadMessage(_("消息格式错误: 不是 JSON 对象"))
    return fields


def _client_id(fields: dict[str, Any]) -> str:
    value = fields.get("id")
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or not _is_storable(value):
        raise BadMessage(_("id 必须是 1-%d 个字符的字符串") % MAX_ID)
    return value


def _is_storable(text: str) -> bool:
    """No NUL, which PostgreSQL refuses, and no half of a surrogate pair, which UTF-8 does."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
