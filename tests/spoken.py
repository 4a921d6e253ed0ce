"""Real speech and real noise for the ear: PCM16 mono at 16 000 Hz, or as floats of ±1."""

import functools
from pathlib import Path

import numpy as np

from voice.audio.decode import decode_clip

RATE = 16_000
VOICES = sorted((Path(__file__).parent.parent / "static" / "voices").glob("kokoro_*.mp3"))


@functools.cache
def voice(path: Path) -> np.ndarray:
    """A recorded sentence, some 22 dB below full scale."""
    pcm = decode_clip(path, max_seconds=60, max_bytes=1 << 22).pcm
    return np.frombuffer(pcm, "<i2") / 32_768


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE))


def room(samples: np.ndarray, level_db: float = -60.0, seed: int = 1) -> np.ndarray:
    """The same in a room that is never quite silent."""
    hiss = np.random.default_rng(seed).normal(0, 10 ** (level_db / 20), len(samples))
    return samples + hiss


def louder(samples: np.ndarray, db: float) -> np.ndarray:
    return samples * 10 ** (db / 20)


def pcm(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


def onset_ms(samples: np.ndarray, level_db: float = -30.0) -> float:
    """Where it first becomes as loud as this within 10 ms."""
    return 10.0 * int(np.argmax(_levels(samples) > level_db))


def end_ms(samples: np.ndarray, level_db: float = -35.0) -> float:
    """Where it was last as loud as this."""
    loud = _levels(samples) > level_db
    return 10.0 * (len(loud) - int(np.argmax(loud[::-1])))


def _levels(samples: np.ndarray) -> np.ndarray:
    blocks = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    return 10 * np.log10((blocks**2).mean(axis=1) + 1e-12)
