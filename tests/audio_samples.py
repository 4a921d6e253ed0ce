"""Audio as phones and browsers make it, encoded when it is asked for."""

import functools
import io
from fractions import Fraction

import av
import numpy as np
from av.audio.resampler import AudioResampler

# name: (FFmpeg's muxer, codec, extension it is stored under, media type it is served as)
FORMATS = {
    "mp3": ("mp3", "libmp3lame", "mp3", "audio/mpeg"),
    "wav": ("wav", "pcm_s16le", "wav", "audio/wav"),
    "m4a": ("ipod", "aac", "m4a", "audio/mp4"),
    "aac": ("adts", "aac", "aac", "audio/aac"),
    "ogg": ("ogg", "libopus", "ogg", "audio/ogg"),
    "flac": ("flac", "flac", "flac", "audio/flac"),
    "webm": ("webm", "libopus", "webm", "audio/webm"),
}


@functools.cache
def sample(name: str, seconds: float = 1.0, rate: int = 48_000, hertz: int = 440) -> bytes:
    """A whole file with a mono tone of so many whole hertz; silence where ``hertz`` is 0."""
    muxer, codec, _extension, _mime = FORMATS[name]
    time = np.arange(rate) / rate
    second = (12_000 * np.sin(2 * np.pi * hertz * time)).astype("<i2").reshape(1, -1)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        resampler = AudioResampler(
            stream.codec_context.format, "mono", rate, stream.frame_size or 4096
        )
        for start in range(0, int(seconds * rate), rate):
            block = np.ascontiguousarray(second[:, : int(seconds * rate) - start])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), start
            for piece in resampler.resample(frame):
                out.mux(stream.encode(piece))
        for piece in resampler.resample(None):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return buffer.getvalue()
