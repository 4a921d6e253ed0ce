"""How the servers of OpenAI's audio API differ, as behaviours of the loopback one.

Of the vendors' API references and of the request schemas in the projects' repositories; one
entry a row of ``voice.openai_servers``.
"""

from dataclasses import dataclass, field

from tests.servers.behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one kind of server speaks and listens; None where it does not."""

    speech: Behaviour | None = field(default_factory=Behaviour)
    transcription: Behaviour | None = field(default_factory=Behaviour)


QUIRKS: dict[str, Quirks] = {
    "generic": Quirks(),
    "openai": Quirks(),
    "speaches": Quirks(
        # A voice of Piper.
        speech=Behaviour(native_rate=22_050, envelope="fastapi", content_type="audio/pcm"),
        transcription=Behaviour(envelope="fastapi"),
    ),
    "kokoro-fastapi": Quirks(
        speech=Behaviour(envelope="fastapi", content_type="audio/pcm", piece_bytes=12_000),
        transcription=None,
    ),
    "vllm-omni": Quirks(
        speech=Behaviour(native_rate=16_000, formats=("wav", "pcm", "flac", "mp3", "opus")),
    ),
    "siliconflow": Quirks(
        speech=Behaviour(
            native_rate=44_100,
            formats=("mp3", "opus", "wav", "pcm"),
            voices=("FunAudioLLM/CosyVoice2-0.5B:alex",),
            envelope="flat",
            content_type="application/octet-stream",
        ),
        transcription=Behaviour(
            text="<|zh|><|NEUTRAL|><|Speech|><|woitn|>你好，请介绍一下你自己。",
            rejects=("language", "response_format", "prompt"),
            envelope="flat",
        ),
    ),
    "groq": Quirks(
        speech=Behaviour(
            native_rate=48_000,
            formats=("wav",),
            max_characters=200,
            voices=("autumn", "diana", "hannah", "austin", "daniel", "troy"),
        ),
    ),
    "localai": Quirks(
        speech=Behaviour(
            native_rate=22_050,
            formats=("wav", "mp3"),
            rejects=("speed", "sample_rate", "stream", "stream_format", "instructions"),
            names_field=False,
            content_type="application/octet-stream",
        ),
    ),
    "openai-edge-tts": Quirks(
        speech=Behaviour(formats=("mp3", "opus", "aac", "flac", "wav", "pcm")),
        transcription=None,
    ),
    "dashscope": Quirks(speech=None, transcription=None),
    "qiniu": Quirks(speech=None, transcription=None),
}
