"""Foreign audio in, proven PCM out."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.stream import Disposition

from voice.audio.sniff import AAC, FLAC, M4A, MP3, WAV, AudioFormat, sniff

AudioFault = Literal[
    "empty",  # no bytes, or not one sample
    "not_audio",  # the bytes are none of the accepted formats
    "unsupported",  # an accepted container with a codec, picture track or rate we do not take
    "no_audio",  # a container without an audio track
    "broken",  # headers promise audio, the rest does not decode
    "truncated",  # less audio than the headers declare
    "too_large",
    "too_long",
]

_MIN_RATE, _MAX_RATE, _MAX_CHANNELS = 4_000, 192_000, 8
# A stray bad packet is normal at the seams of a recording; more of them is not audio.
_BAD_PACKETS, _BAD_SHARE = 3, 0.1
_STREAMED_RIFF = 0x7FFF_0000
# A frame stream resynchronises over garbage silently; this much of the file must be frames.
_MIN_COVERAGE = 0.7


class AudioError(ValueError):
    """An upload is not audio that we take.

    Attributes:
        reason: What is wrong with it, for the caller to word.
    """

    def __init__(self, message: str, reason: AudioFault) -> None:
        super().__init__(message)
        self.reason: AudioFault = reason


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """A clip that was decoded from its first to its last packet.

    Attributes:
        pcm: PCM16 little endian, mono.
        sample_rate: Hz of ``pcm``.
        seconds: Length of ``pcm``.
        container: Canonical extension of the source: mp3, wav, m4a, aac, ogg, flac or webm.
        mime: The media type the source may be served as.
    """

    pcm: bytes
    sample_rate: int
    seconds: float
    container: str
    mime: str


def decode_clip(
    source: bytes | Path,
    *,
    max_seconds: float,
    max_bytes: int,
    sample_rate: int = 16_000,
) -> DecodedClip:
    """Prove that an upload is audio by decoding all of it.

    The format follows from the content, never from a name or a claimed type. Work and
    memory are bounded by the limits, whatever the headers say. Blocks (a few ms a minute
    of audio): call it in a thread.

    Args:
        source: The upload, as bytes or as a file.
        max_seconds: Decoding stops beyond this.
        max_bytes: The largest source taken.
        sample_rate: Hz wanted.

    Raises:
        AudioError: It is not, or not within the limits; ``reason`` says why.
        OSError: The file cannot be read.
    """
    with ExitStack() as stack:
        file: BinaryIO
        if isinstance(source, Path):
            size, file = source.stat().st_size, stack.enter_context(source.open("rb"))
        else:
            size, file = len(source), io.BytesIO(source)
        if size == 0:
            raise AudioError("the file is empty", "empty")
        if size > max_bytes:
            raise AudioError(
                f"the file has {size} bytes, at most {max_bytes} are taken", "too_large"
            )
        kind, tag = sniff(file)
        if kind is None:
            raise AudioError("the content is none of the accepted audio formats", "not_audio")
        if kind is WAV and _riff_is_cut(file, size):
            raise AudioError("the file is shorter than its header says", "truncated")
        file.seek(0)
        pcm = _decode(file, kind, size - tag, int(max_seconds * sample_rate) * 2, sample_rate)
    seconds = len(pcm) / 2 / sample_rate
    return DecodedClip(bytes(pcm), sample_rate, seconds, kind.container, kind.mime)


def _riff_is_cut(file: BinaryIO, size: int) -> bool:
    """FFmpeg shortens a WAV to what is there; 0 and sizes near 2 or 4 GiB mean a stream."""
    file.seek(4)
    declared = int.from_bytes(file.read(4), "little") + 8
    return declared < _STREAMED_RIFF and declared * 0.95 > size


def _decode(
    file: BinaryIO, kind: AudioFormat, payload: int, max_pcm: int, sample_rate: int
) -> bytearray:
    try:
        container = av.open(
            file,
            mode="r",
            format=kind.demuxer,
            container_options={
                "codec_whitelist": ",".join(kind.codecs),
                "protocol_whitelist": "",
                "probesize": str(1 << 20),
                "max_streams": "8",
            },
            metadata_errors="replace",
            io_open=_refuse_other_files,
        )
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(
            f"the {kind.container} file cannot be opened: {error}", "broken"
        ) from error
    with container:
        try:
            return _read(container, kind, payload, max_pcm, sample_rate)
        except (av.FFmpegError, EOFError) as error:
            raise AudioError(f"{kind.container} that breaks off: {error}", "broken") from error


def _refuse_other_files(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"an audio file may not open {url!r}")


def _read(
    container: InputContainer, kind: AudioFormat, payload: int, max_pcm: int, sample_rate: int
) -> bytearray:
    stream = _only_audio(container, kind)
    pcm, packets, bad, covered = bytearray(), 0, 0, 0
    mono = Mono(sample_rate)
    for packet in container.demux(stream):
        packets += packet.size > 0
        covered += packet.size
        try:
            frames = stream.codec_context.decode(packet)
        except av.InvalidDataError:
            bad += 1
            continue
        for frame in frames:
            for block in mono.feed(frame):
                pcm += block
            if len(pcm) > max_pcm:
                raise AudioError(f"longer than {max_pcm / 2 / sample_rate:g} s", "too_long")
    for block in mono.flush():
        pcm += block
    if len(pcm) > max_pcm:
        raise AudioError(f"longer than {max_pcm / 2 / sample_rate:g} s", "too_long")
    declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if not (pcm or bad or declared):
        raise AudioError("the file holds no sample of audio", "empty")
    if not pcm or bad > max(_BAD_PACKETS, packets * _BAD_SHARE):
        raise AudioError(f"{bad} of {packets} packets do not decode", "broken")
    if kind in (MP3, AAC) and covered < payload * _MIN_COVERAGE:
        raise AudioError("most of the file is not audio", "broken")
    if kind in (FLAC, M4A) and len(pcm) / 2 / sample_rate < declared * 0.95 - 0.25:
        raise AudioError(f"the file declares {declared:.1f} s of audio and has less", "truncated")
    return pcm


def _only_audio(container: InputContainer, kind: AudioFormat) -> Any:
    """The one audio stream; cover art may stand beside it, anything else may not."""
    for other in container.streams:
        cover = other.type == "video" and other.disposition & Disposition.attached_pic
        if other.type != "audio" and not cover and other.type != "data":
            raise AudioError(f"the file has a track of {other.type}", "unsupported")
    if not container.streams.audio:
        raise AudioError("the file has no audio track", "no_audio")
    stream = container.streams.audio[0]
    codec = stream.codec_context.name if stream.codec_context else "unknown"
    if codec not in kind.codecs:
        raise AudioError(f"{kind.container} with {codec} is not taken", "unsupported")
    stream.codec_context.thread_count = 1
    return stream


class Mono:
    """Frames of any layout and rate to PCM16 mono; both may change on the way."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None

    def feed(self, frame: AudioFrame) -> Iterator[bytes]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            if not (_MIN_RATE <= frame.sample_rate <= _MAX_RATE):
                raise AudioError(f"{frame.sample_rate} Hz is not taken", "unsupported")
            if frame.layout.nb_channels > _MAX_CHANNELS:
                raise AudioError(
                    f"{frame.layout.nb_channels} channels are not taken", "unsupported"
                )
            yield from self.flush()
            self._resampler = AudioResampler(format="s16", layout="mono", rate=self._rate)
            self._source = source
        assert self._resampler is not None
        frame.pts = None  # gaps in foreign time stamps are not to be filled with silence
        for out in self._resampler.resample(frame):
            yield _bytes(out)

    def flush(self) -> Iterator[bytes]:
        if self._resampler is not None:
            for out in self._resampler.resample(None):
                yield _bytes(out)
            self._resampler = None


def _bytes(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * 2]
