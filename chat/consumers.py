"""The sockets ``/api/ws/chat`` and ``/api/ws/voice_chat``: parse, call, render."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.quotas import QuotaSpent
from accounts.sockets import accepted_language, refusal
from chat import messages
from chat.messages import BadMessage, Cancel, Say
from chat.renderers import ChatRenderer, VoiceChatRenderer, chat_error, voice_error
from chat.services import ConversationNotFound, RoleNotFound
from chat.sockets import Pending, QueueFull, Renderer, TurnQueue
from uploads.selectors import UnknownAudio

logger = structlog.get_logger(__name__)

# A client that takes nothing for so long is cut off; the turn goes on without it.
SEND_SECONDS = 30.0

_open_sockets: Counter[int] = Counter()


class TurnConsumer(AsyncWebsocketConsumer):
    """What both sockets share. ``receive`` never waits for a turn, so cancels get through."""

    # No groups here, so no channel layer and no connection of its own to it.
    channel_layer_alias = ""
    channel: ClassVar[str]
    idle_seconds: ClassVar[float | None] = None

    async def connect(self) -> None:
        self.user: User = self.scope["user"]
        self._idle: asyncio.TimerHandle | None = None
        self._counted = False
        headers = dict(self.scope["headers"])
        self.language = accepted_language(self.scope)
        if _open_sockets[self.user.pk] >= settings.SOCKETS_PER_USER:
            with translation.override(self.language):
                answer = refusal(self.scope, status=429, message=_("连接数过多"))
            for message in answer:
                await self.base_send(message)
            return
        _open_sockets[self.user.pk] += 1
        self._counted = True
        self.base_url = settings.PUBLIC_BASE_URL or self._own_address(headers)
        self.queue = TurnQueue(
            user=self.user,
            channel=self.channel,
            base_urls=[self.base_url, self._own_address(headers)],
            language=self.language,
            renderer=self.renderer,
            send=self._send_json,
        )
        await self.accept(subprotocol=self.scope.get("accepted_subprotocol"))
        logger.info("socket open", channel=self.channel, user_id=self.user.pk)
        self._touch()

    async def disconnect(self, code: int) -> None:
        if self._idle:
            self._idle.cancel()
        if self._counted:
            logger.info("socket closed", channel=self.channel, user_id=self.user.pk, code=code)
            self.queue.detach()
            _open_sockets[self.user.pk] -= 1
            if not _open_sockets[self.user.pk]:
                del _open_sockets[self.user.pk]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self._touch()
        with translation.override(self.language):
            if text_data is None:
                await self._send_json(self.error(_("不接受二进制消息"), 400, ""))
                return
            try:
                message = self.parse(text_data)
            except BadMessage as error:
                await self._send_json(self.error(str(error), error.code, error.client_id))
                return
            if isinstance(message, Cancel):
                await self._cancel(message)
            else:
                await self._say(message)

    async def _say(self, say: Say) -> None:
        try:
            await self.queue.say(say)
        except QueueFull:
            code, text = 429, _("等待中的消息过多，请稍后再试")
        except QuotaSpent:
            code, text = 429, _("本月的用量已经用完")
        except UnknownAudio:
            code, text = 404, _("音频文件不存在或已过期")
        except RoleNotFound:
            code, text = 404, _("角色不存在")
        except ConversationNotFound:
            code, text = 404, _("对话不存在")
        except DatabaseError:
            logger.exception("message could not be stored")
            code, text = 500, _("服务器内部错误")
        else:
            return
        await self._send_json(self.error(text, code, say.client_id))

    async def _cancel(self, cancel: Cancel) -> None:
        if not await self.queue.cancel(cancel.client_id):
            text = _("没有正在进行的回复")
            await self._send_json(self.error(text, 404, cancel.client_id))

    async def _send_json(self, message: Mapping[str, Any]) -> None:
        self._touch()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.send(text_data=json.dumps(message, ensure_ascii=False))
        except TimeoutError:
            logger.warning("slow reader cut off", user_id=self.user.pk)
            self.queue.detach()
            await self.close(code=1008, reason="slow reader")
        except (RuntimeError, OSError):
            # The socket closed under our hands; ``disconnect`` comes.
            self.queue.detach()

    def _touch(self) -> None:
        """Something happened: the idle clock starts anew."""
        if self.idle_seconds is None:
            return
        if self._idle:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(self.idle_seconds, self._close_idle)

    def _close_idle(self) -> None:
        if self.queue.busy:
            self._touch()
            return
        self._closing = asyncio.create_task(self.close(code=1000, reason="idle timeout"))

    def _own_address(self, headers: Mapping[bytes, bytes]) -> str:
        scheme = "https" if self.scope.get("scheme") == "wss" else "http"
        return f"{scheme}://{headers.get(b'host', b'localhost').decode('latin-1')}"

    # --- what differs

    def parse(self, raw: str) -> Say | Cancel:
        raise NotImplementedError

    def renderer(self, pending: Pending) -> Renderer:
        raise NotImplementedError

    def error(self, text: str, code: int, client_id: str) -> Mapping[str, Any]:
        raise NotImplementedError


class ChatConsumer(TurnConsumer):
    """``/api/ws/chat``."""

    channel = "chat"

    def parse(self, raw: str) -> Say | Cancel:
        return messages.parse_chat(raw)

    def renderer(self, pending: Pending) -> Renderer:
        return ChatRenderer(pending.say, self.base_url)

    def error(self, text: str, code: int, client_id: str) -> Mapping[str, Any]:
        return chat_error(text, code, client_id)


class VoiceChatConsumer(TurnConsumer):
    """``/api/ws/voice_chat``."""

    channel = "voice_chat"
    idle_seconds = settings.SOCKET_IDLE_SECONDS

    def parse(self, raw: str) -> Say | Cancel:
        return messages.parse_voice_chat(raw)

    def renderer(self, pending: Pending) -> Renderer:
        return VoiceChatRenderer(pending.say)

    def error(self, text: str, code: int, client_id: str) -> Mapping[str, Any]:
        return voice_error(text, code, client_id)
