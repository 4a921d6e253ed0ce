"""FLAC for speech that is kept: half the size of PCM, and the very same samples again."""

import io
from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame

from voice.audio.decode import AudioError


def flac_bytes(pcm: bytes, sample_rate: int) -> bytes:
    """A whole FLAC file. Takes about 1 ms a second of audio.

    Args:
        pcm: PCM16 mono, at least one sample.
        sample_rate: Hz.
    """
    samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
    frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = sample_rate
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=sample_rate, layout="mono")
        for each in (frame, None):
            container.mux(stream.encode(each))
    return file.getvalue()


def flac_pieces(file: bytes, sample_rate: int) -> Iterator[bytes]:
    """The samples of a file of ``flac_bytes``, some 0.1 s a piece, the first at once.

    Args:
        file: All of it.
        sample_rate: Hz that it must have.

    Yields:
        PCM16 mono.

    Raises:
        AudioError: It is not such a file (``broken``), or not all of it (``truncated``).
    """
    if not file.startswith(b"fLaC"):
        raise AudioError("not a FLAC file", "broken")
    told = 0
    try:
        with av.open(io.BytesIO(file), "r", format="flac") as container:
            stream = container.streams.audio[0]
            if stream.codec_context.format is None:
                raise AudioError("the header is damaged", "broken")
            form = stream.codec_context.format.name, stream.layout.nb_channels, stream.rate
            if form != ("s16", 1, sample_rate):
                raise AudioError(f"not PCM16 mono at {sample_rate} Hz: {form}", "broken")
            for frame in container.decode(stream):
                told += frame.samples
                yield frame.to_ndarray().tobytes()
            promised = stream.duration or 0
    except (av.FFmpegError, IndexError) as error:
        raise AudioError(f"not a FLAC file: {error}", "broken") from error
    if told < promised:
        raise AudioError(f"{told} of {promised} samples", "truncated")
