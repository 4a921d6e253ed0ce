"""G.711, the speech of telephones: 8 bits a sample at 8 000 Hz, by µ-law or A-law."""

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 8_000


def decode_ulaw(data: bytes) -> bytes:
    """PCM16 mono at 8 000 Hz."""
    return _decode(data, _ULAW)


def decode_alaw(data: bytes) -> bytes:
    """PCM16 mono at 8 000 Hz."""
    return _decode(data, _ALAW)


def encode_ulaw(pcm: bytes) -> bytes:
    """PCM16 mono at 8 000 Hz to a byte a sample.

    Raises:
        ValueError: ``pcm`` ends within a sample.
    """
    return _encode(pcm, _TO_ULAW)


def encode_alaw(pcm: bytes) -> bytes:
    """PCM16 mono at 8 000 Hz to a byte a sample.

    Raises:
        ValueError: ``pcm`` ends within a sample.
    """
    return _encode(pcm, _TO_ALAW)


def _decode(data: bytes, levels: npt.NDArray[np.int16]) -> bytes:
    return bytes(levels[np.frombuffer(data, np.uint8)].tobytes())


def _encode(pcm: bytes, codes: npt.NDArray[np.uint8]) -> bytes:
    return bytes(codes[np.frombuffer(pcm, "<u2")].tobytes())


def _ulaw_levels() -> npt.NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((mantissa * 2 + 33) << exponent) - 33  # of 14 bits
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int32).astype("<i2") * 4


def _alaw_levels() -> npt.NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = np.where(
        exponent == 0, mantissa * 2 + 1, (mantissa * 2 + 33) << np.maximum(exponent - 1, 0)
    )  # of 13 bits
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2") * 8


def _codes(levels: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """For every sample, as an unsigned index, the code whose level is nearest."""
    order = np.argsort(levels, kind="stable")
    sorted_levels = levels[order].astype(np.int32)
    borders = (sorted_levels[1:] + sorted_levels[:-1]) / 2
    samples = np.arange(65_536, dtype=np.uint16).view(np.int16)
    return order[np.searchsorted(borders, samples, side="right")].astype(np.uint8)


_ULAW, _ALAW = _ulaw_levels(), _alaw_levels()
_TO_ULAW, _TO_ALAW = _codes(_ULAW), _codes(_ALAW)
