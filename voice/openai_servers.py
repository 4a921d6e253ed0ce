"""What the servers of OpenAI's audio API can do and where they differ, a row each.

The row of a server follows from the host in its base URL, or from ``TTS_SERVER`` and
``ASR_SERVER``. Sources of the rows: the vendors' API references, and the request schemas in the
repositories of speaches, Kokoro-FastAPI, vLLM-Omni, LocalAI and openai-edge-tts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

AUTO = "auto"

AudioFormat = Literal["pcm", "wav", "mp3"]


@dataclass(frozen=True, slots=True)
class SpeechRow:
    """A server's ``/audio/speech``.

    Attributes:
        formats: What it can be asked for, the quickest to the first sound first.
        sample_rate: Hz of its raw PCM.
        asks_sample_rate: It makes another rate of PCM unless it is asked for this one.
        streaming: The first bytes come before all of the text is spoken.
        speed: It takes a speed; else ours is made here.
        max_characters: The longest input; longer text goes in several requests.
        extra_body: Sent with each request.
        voice: How it names a voice without a colon, of ``{model}`` and ``{voice}``.
        voices: All of its voices, where they are few and fixed.
        voices_path: Where it lists them, below the base URL; empty where it does not.
    """

    formats: tuple[AudioFormat, ...] = ("pcm", "wav", "mp3")
    sample_rate: int = 24_000
    asks_sample_rate: bool = False
    streaming: bool = True
    speed: bool = True
    max_characters: int = 4_096
    extra_body: Mapping[str, object] = field(default_factory=dict)
    voice: str = "{voice}"
    voices: frozenset[str] = frozenset()
    voices_path: str = ""


@dataclass(frozen=True, slots=True)
class TranscriptionRow:
    """A server's ``/audio/transcriptions``.

    Attributes:
        max_seconds: The longest utterance: what a wav file of the largest size holds.
        fields: What it takes beside ``file`` and ``model``.
    """

    max_seconds: float = 780.0  # 25 MB
    fields: tuple[str, ...] = ("response_format", "language")


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One kind of server.

    Attributes:
        name: For ``TTS_SERVER`` and ``ASR_SERVER``.
        title: For people.
        hosts: Those that it is recognised by, and every host below them.
        speech: None where it does not speak.
        transcription: None where it does not listen.
        instead: What to use where it does not.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    speech: SpeechRow | None = None
    transcription: TranscriptionRow | None = None
    instead: str = ""

    def require(self, capability: Literal["speech", "transcription"]) -> None:
        """Refuse a server that cannot do what it is configured for.

        Raises:
            ValueError: It has no such endpoint; the message says what to use instead.
        """
        if getattr(self, capability) is None:
            path = "/audio/speech" if capability == "speech" else "/audio/transcriptions"
            raise ValueError(f"{self.title} has no {path}: {self.instead}")


GENERIC = ServerRow("generic", "the server", speech=SpeechRow(), transcription=TranscriptionRow())

_ROWS = (
    GENERIC,
    ServerRow(
        "openai",
        "OpenAI",
        ("api.openai.com",),
        speech=SpeechRow(),
        transcription=TranscriptionRow(),
    ),
    ServerRow(
        "speaches",
        "speaches",
        ("speaches",),
        # Piper's voices have rates of their own.
        speech=SpeechRow(asks_sample_rate=True),
        transcription=TranscriptionRow(),
    ),
    ServerRow(
        "kokoro-fastapi",
        "Kokoro-FastAPI",
        ("kokoro", "kokoro-fastapi"),
        speech=SpeechRow(voices_path="/audio/voices"),
        instead="set ASR_BASE_URL to a server that listens, or leave it empty",
    ),
    ServerRow(
        "vllm-omni",
        "vLLM-Omni",
        ("vllm-omni",),
        # Without stream_format it answers when all is made.
        speech=SpeechRow(
            formats=("pcm", "wav"),
            asks_sample_rate=True,
            extra_body={"stream_format": "audio"},
            voices_path="/audio/voices",
        ),
        transcription=TranscriptionRow(),
    ),
    ServerRow(
        "siliconflow",
        "SiliconFlow",
        ("api.siliconflow.cn", "api.siliconflow.com"),
        speech=SpeechRow(
            formats=("pcm", "wav", "mp3"),
            asks_sample_rate=True,
            extra_body={"stream": True},
            voice="{model}:{voice}",
        ),
        transcription=TranscriptionRow(max_seconds=1_560.0, fields=()),
    ),
    ServerRow(
        "groq",
        "Groq",
        ("api.groq.com",),
        speech=SpeechRow(
            formats=("wav",),
            max_characters=200,
            voices=frozenset({"autumn", "diana", "hannah", "austin", "daniel", "troy"}),
        ),
        transcription=TranscriptionRow(),
    ),
    ServerRow(
        "localai",
        "LocalAI",
        ("localai", "local-ai"),
        # Which fields are taken is the backend's affair.
        speech=SpeechRow(formats=("wav", "mp3"), streaming=False, speed=False),
        transcription=TranscriptionRow(),
    ),
    ServerRow(
        "openai-edge-tts",
        "openai-edge-tts",
        ("openai-edge-tts",),
        # Its source is mp3; everything else waits for ffmpeg.
        speech=SpeechRow(formats=("mp3", "wav"), streaming=False),
        instead="set ASR_BASE_URL to a server that listens, or leave it empty",
    ),
    ServerRow(
        "dashscope",
        "DashScope's compatible mode",
        ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "maas.aliyuncs.com"),
        instead="set DASHSCOPE_API_KEY and name the provider dashscope",
    ),
    ServerRow(
        "qiniu",
        "Qiniu's OpenAI API",
        ("api.qnaigc.com", "openai.qiniu.com"),
        instead="set QINIU_API_KEY and name the provider qiniu",
    ),
)
ROWS: Mapping[str, ServerRow] = {row.name: row for row in _ROWS}


def server_row(base_url: str, name: str = AUTO) -> ServerRow:
    """The row of a server.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        name: A key of `ROWS`; ``auto`` goes by the host, and knows nothing of an unknown one.

    Raises:
        ValueError: There is no such row.
    """
    if name != AUTO:
        if name not in ROWS:
            raise ValueError(f"unknown server {name}; known: {', '.join(ROWS)}")
        return ROWS[name]
    host = (urlsplit(base_url).hostname or "").lower()
    for row in _ROWS:
        if any(host == known or host.endswith(f".{known}") for known in row.hosts):
            return row
    return GENERIC
