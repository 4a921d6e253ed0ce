"""Recognition by DashScope of whole utterances: Qwen3-ASR."""

import base64
import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import openai

from voice.asr.base import SAMPLE_RATE, RecognizerCapabilities, Transcript
from voice.audio.codecs import wav_bytes
from voice.dashscope.backoff import BackOff
from voice.dashscope.config import DashScopeConfig
from voice.dashscope.errors import DashScopeError, refusal
from voice.errors import ProviderError
from voice.openai_client import ERRORS, open_client, probe_client, provider_error, warm_client

_BYTES_A_SECOND = SAMPLE_RATE * 2
_LEAST_SECONDS = 0.1  # nobody says anything in less
_MOST_SECONDS = 220.0  # 10 MB a request, as wav in base64
_READ_TIMEOUT = 15.0


class UtteranceRecognizer:
    """Qwen3-ASR by the compatible mode: the utterance goes as one wav file when it has ended.

    Args:
        config: Where the service is, and the model.
    """

    name = "dashscope"
    capabilities = RecognizerCapabilities(streaming=False, max_seconds=_MOST_SECONDS)

    def __init__(self, config: DashScopeConfig) -> None:
        self._model = config.asr_model
        self._client = open_client(
            base_url=config.compatible_url,
            api_key=config.api_key,
            connect_timeout=config.patience.connect,
            read_timeout=_READ_TIMEOUT,
        )
        self._workspace = {k: v for k, v in config.headers.items() if k != "Authorization"}

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        """See `Recognizer.recognize`; gives the final transcript only."""
        pcm = bytearray()
        async for piece in audio:
            pcm += piece
            if len(pcm) > _MOST_SECONDS * _BYTES_A_SECOND:
                raise DashScopeError(f"takes no more than {_MOST_SECONDS:g} s", kind="caller")
        text = ""
        if len(pcm) >= _LEAST_SECONDS * _BYTES_A_SECOND:
            try:
                text = await self._recognized(wav_bytes(bytes(pcm), SAMPLE_RATE), language)
            except DashScopeError as error:
                if error.kind != "no_speech":
                    raise
        yield Transcript(text.strip(), is_final=True, language=language)

    async def warm(self) -> None:
        """Load this side of the connection."""
        await warm_client()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await probe_client(self._client, self.name)

    async def aclose(self) -> None:
        await self._client.close()

    async def _recognized(self, wav: bytes, language: str) -> str:
        options: dict[str, str | bool] = {"enable_itn": True}
        if language:
            options["language"] = language
        data = "data:audio/wav;base64," + base64.b64encode(wav).decode()
        body = {
            "model": self._model,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": data}}],
                }
            ],
            "asr_options": options,
        }
        back_off = BackOff()
        while True:
            try:
                answer = await self._client.post(
                    "/chat/completions",
                    cast_to=bytes,
                    body=body,
                    options={"headers": self._workspace},
                )
                return _said(answer)
            except ERRORS as error:
                failure = _failure(error)
                if not isinstance(failure, DashScopeError) or failure.kind != "rate":
                    raise failure from error
                await back_off.wait(failure)


def _said(answer: bytes) -> str:
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        return cast(str, "" + content)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        message = "sent a transcript that cannot be read"
        raise DashScopeError(message, kind="server") from error


def _failure(error: Exception) -> ProviderError:
    """The failure of a request, by the table of DashScope where it answered."""
    if isinstance(error, openai.APIStatusError):
        return refusal(
            error.code or "",
            str(error.body.get("message", "")) if isinstance(error.body, dict) else error.message,
            status=error.status_code,
            headers=error.response.headers,
            request_id=error.request_id or "",
        )
    return provider_error(error, provider="dashscope", begun=False)
