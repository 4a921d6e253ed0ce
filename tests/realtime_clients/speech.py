"""Real speech for the microphones of the clients."""

import functools
import io

import av
import numpy as np
from av.audio.resampler import AudioResampler

from tests.processes import ROOT

RATE = 24_000
BLOCK_MS = 40
# What the two samples say, in the words of voice/data/sample_lines.json.
ENGLISH = ("kokoro_af_heart", "Hello, you. Come in, I was hoping we could talk tonight.")
CHINESE = ("kokoro_zf_xiaoxiao", "你好呀，今天想听我讲个什么故事？")


@functools.cache
def spoken(name: str, rate: int = RATE) -> bytes:
    """A sample that the platform ships: PCM16 mono."""
    pcm = bytearray()
    resampler = AudioResampler("s16", "mono", rate)
    file = io.BytesIO((ROOT / "static" / "voices" / f"{name}.mp3").read_bytes())
    with av.open(file) as container:
        for frame in [*container.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                pcm += piece.to_ndarray().astype("<i2").tobytes()
    return bytes(pcm)


def silence(ms: int, rate: int = RATE) -> bytes:
    return bytes(2 * rate * ms // 1000)


def utterance(name: str = ENGLISH[0], *, before_ms: int = 200, after_ms: int = 1_200) -> bytes:
    """Somebody speaks, between two silences."""
    return silence(before_ms) + spoken(name) + silence(after_ms)


def blocks(pcm: bytes, ms: int = BLOCK_MS, rate: int = RATE) -> list[bytes]:
    size = 2 * rate * ms // 1000
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def seconds(pcm: bytes, rate: int = RATE) -> float:
    return len(pcm) / 2 / rate


def peak(pcm: bytes) -> int:
    return int(np.abs(np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(int)).max(initial=0))
