"""One turn in the words of ``/api/ws/chat`` and of ``/api/ws/voice_chat``."""

import base64
from collections.abc import Sequence
from typing import cast

from django.utils.translation import gettext as _

from chat.bus.base import Frame, Kind
from chat.failures import failure_text
from chat.messages import AudioMessage, ErrorMessage, ReplyMessage, Say
from chat.models import Modality, TurnState
from chat.selectors import TurnResult
from voice import storage

FORMAT = "mp3"
_NOTHING: frozenset[Kind] = frozenset()


class ChatRenderer:
    """``/api/ws/chat``: one final message a reply; pieces before it where they are wanted.

    Args:
        say: What the client asked.
        base_url: Put before the path of a voice reply.
    """

    def __init__(self, say: Say, base_url: str) -> None:
        self._say = say
        self._base_url = base_url
        self._text = 0  # characters and bytes that were sent
        self._audio = 0
        self.wanted: frozenset[Kind] = (
            frozenset({"transcript", "text", "audio"}) if say.stream else _NOTHING
        )

    def frame(self, frame: Frame) -> Sequence[ReplyMessage]:
        if frame.kind == "audio":
            return [self._speech(cast(bytes, frame.data), is_final=False)]
        text = cast(str, frame.data)
        if frame.kind == "transcript":
            return [self._message("transcript", message=text)]
        self._text += len(text)
        return [self._message("delta", message=text)]

    async def end(self, result: TurnResult) -> Sequence[ReplyMessage | ErrorMessage]:
        if result.state == TurnState.FAILED:
            return [self._error(failure_text(result.error), result.error_code)]
        messages: list[ReplyMessage | ErrorMessage] = []
        if self._say.stream:
            # What the bus lost on its way, and the end of the audio.
            if rest := result.reply_text[self._text :]:
                messages.append(self._message("delta", message=rest))
            if result.reply_modality == Modality.VOICE:
                audio = await _rest_of_audio(result, self._audio)
                messages.append(self._speech(audio, is_final=True))
        messages.append(self._final(result))
        return messages

    def _final(self, result: TurnResult) -> ReplyMessage:
        if result.reply_path:
            url = self._base_url + result.reply_path
            message = self._message("voice", message=url, format=FORMAT)
        else:
            message = self._message("text", message=result.reply_text)
        if result.state == TurnState.CANCELLED:
            message["status"] = "cancelled"
        if self._say.stream:
            message["message_id"] = result.reply_id
            message["conversation_id"] = result.conversation_id
            message["text"] = result.reply_text
        return message

    def broken(self) -> ErrorMessage:
        return self._error(_("服务器内部错误"), 500)

    def _speech(self, data: bytes, *, is_final: bool) -> ReplyMessage:
        self._audio += len(data)
        return self._message("audio", data=_base64(data), format=FORMAT, is_final=is_final)

    def _message(self, type_: str, **fields: object) -> ReplyMessage:
        message = {"role_id": self._say.role_id, "type": type_, **fields}
        return cast(ReplyMessage, _with_id(message, self._say.client_id))

    def _error(self, text: str, code: int) -> ErrorMessage:
        return chat_error(text, code, self._say.client_id)


class VoiceChatRenderer:
    """``/api/ws/voice_chat``: pieces of one MP3, the last of them final.

    Args:
        say: What the client asked.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._text = 0
        self._audio = 0
        self.wanted: frozenset[Kind] = frozenset(
            {"transcript", "text", "audio"} if say.stream else {"audio"}
        )

    def frame(self, frame: Frame) -> Sequence[AudioMessage | ReplyMessage]:
        if frame.kind == "audio":
            return [self._speech(cast(bytes, frame.data), is_final=False)]
        text = cast(str, frame.data)
        if frame.kind == "transcript":
            return [self._words("transcript", text)]
        self._text += len(text)
        return [self._words("delta", text)]

    async def end(self, result: TurnResult) -> Sequence[AudioMessage | ReplyMessage]:
        if result.state == TurnState.FAILED:
            return [voice_error(failure_text(result.error), result.error_code, self._say.client_id)]
        messages: list[AudioMessage | ReplyMessage] = []
        cancelled = result.state == TurnState.CANCELLED
        if self._say.stream and not cancelled and (rest := result.reply_text[self._text :]):
            messages.append(self._words("delta", rest))
        audio = b"" if cancelled else await _rest_of_audio(result, self._audio)
        final = self._speech(audio, is_final=True)
        if cancelled:
            final["status"] = "cancelled"
        if cancelled or self._say.stream:
            final["message_id"] = result.reply_id
            final["conversation_id"] = result.conversation_id
            final["text"] = result.reply_text
        return [*messages, final]

    def broken(self) -> AudioMessage:
        return voice_error(_("服务器内部错误"), 500, self._say.client_id)

    def _speech(self, data: bytes, *, is_final: bool) -> AudioMessage:
        self._audio += len(data)
        message = {"type": "audio", "data": _base64(data), "format": FORMAT, "is_final": is_final}
        return cast(AudioMessage, _with_id(message, self._say.client_id))

    def _words(self, type_: str, text: str) -> ReplyMessage:
        message = {"role_id": self._say.role_id, "type": type_, "message": text, "is_final": False}
        return cast(ReplyMessage, _with_id(message, self._say.client_id))


def chat_error(text: str, code: int, client_id: str = "") -> ErrorMessage:
    """An error on ``/api/ws/chat``."""
    return cast(ErrorMessage, _with_id({"error": text, "code": code}, client_id))


def voice_error(text: str, code: int, client_id: str = "") -> AudioMessage:
    """An error on ``/api/ws/voice_chat``; its code only where the client uses extensions."""
    message: dict[str, object] = {"type": "error", "data": text, "format": "", "is_final": True}
    if client_id:
        message["code"] = code
    return cast(AudioMessage, _with_id(message, client_id))


async def _rest_of_audio(result: TurnResult, sent: int) -> bytes:
    """The end of the stored reply that did not come over the bus; mostly nothing."""
    if not result.reply_audio or result.reply_audio_size <= sent:
        return b""
    return (await storage.read_async(result.reply_audio))[sent:]


def _with_id(message: dict[str, object], client_id: str) -> dict[str, object]:
    return {**message, "id": client_id} if client_id else message


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
