"""A loopback server that speaks Qiniu's speech API, with a fixed pace and faults on demand.

``GET /voice/list``, ``POST /voice/tts``, and WebSockets at ``/voice/tts`` and ``/voice/asr``,
all below one base URL with the chat of `OpenAIServer`. It is steered as that one is, in a test
and as a process (``python -m tests.servers.qiniu``); synthesis of either kind is the endpoint
``speech``, recognition ``transcriptions``, the list ``voices``.
"""

from aiohttp import web

from tests.servers.behaviour import Endpoint
from tests.servers.openai_api import OpenAIServer, main
from tests.servers.qiniu_answers import speech, speech_socket, transcriptions, voices


class QiniuServer(OpenAIServer):
    """See `OpenAIServer`; the base URL is what ``QINIU_BASE_URL`` says."""

    wants_model: frozenset[Endpoint] = frozenset({"chat"})

    def _add_endpoints(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/voice/list", self._endpoint("voices", voices))
        router.add_post("/v1/voice/tts", self._endpoint("speech", speech))
        router.add_get("/v1/voice/tts", self._endpoint("speech", speech_socket))
        router.add_get("/v1/voice/asr", self._endpoint("transcriptions", transcriptions))


if __name__ == "__main__":
    main(QiniuServer)
