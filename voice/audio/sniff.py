"""Which audio format a file is, from its bytes alone.

The answer forces the demuxer, so nothing else ever gets to see a foreign file: no
playlist, concatenation or subtitle format, none of which start with these bytes.
"""

import re
from dataclasses import dataclass
from typing import BinaryIO

_HEAD = 4096
_MAX_TAGS = 4  # careless taggers leave one in front of another
_ZIP_TAIL = 22 + 65_535  # the end record of a ZIP archive and its longest comment

# What a browser that ignores `nosniff` would take for a page, within the window it looks at.
_SNIFF_WINDOW = 1445
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|script|svg|iframe)[\s>/]", re.IGNORECASE)

_MP3_BIT_RATES = {  # kbit/s by the header's index; index 0 is free format, 15 is invalid
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_SAMPLE_RATES = {
    0: (11_025, 12_000, 8_000),
    2: (22_050, 24_000, 16_000),
    3: (44_100, 48_000, 32_000),
}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One accepted format.

    Attributes:
        container: Its canonical file name extension.
        mime: The media type it is served as.
        demuxer: FFmpeg's demuxer for it.
        codecs: The decoders it may lead to.
    """

    container: str
    mime: str
    demuxer: str
    codecs: tuple[str, ...]


_PCM = (
    *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav"),
)
WAV = AudioFormat("wav", "audio/wav", "wav", _PCM)
MP3 = AudioFormat("mp3", "audio/mpeg", "mp3", ("mp3float", "mp3"))
M4A = AudioFormat("m4a", "audio/mp4", "mov", ("aac", "alac"))
AAC = AudioFormat("aac", "audio/aac", "aac", ("aac",))
OGG = AudioFormat("ogg", "audio/ogg", "ogg", ("opus", "libopus", "vorbis", "libvorbis", "flac"))
FLAC = AudioFormat("flac", "audio/flac", "flac", ("flac",))
WEBM = AudioFormat("webm", "audio/webm", "matroska", ("opus", "libopus", "vorbis", "libvorbis"))


def id3_length(head: bytes) -> int:
    """Length in bytes of the ID3v2 tag that ``head`` begins with; 0 without one."""
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def sniff(file: BinaryIO) -> tuple[AudioFormat | None, int]:
    """Name the format of a seekable file.

    Args:
        file: The upload; its position afterwards is undefined.

    Returns:
        The format, or None when the bytes are none of the accepted ones or hide a page or
        an archive, and the length in bytes of leading ID3 tags.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if _MARKUP.search(head[:_SNIFF_WINDOW]) or _ends_as_zip(file):
        return None, 0
    tags = 0
    for _ in range(_MAX_TAGS):
        length = id3_length(head)
        if not length:
            break
        tags += length
        file.seek(tags)
        head = file.read(_HEAD)
    return _by_magic(head, tagged=tags > 0), tags


def _by_magic(head: bytes, *, tagged: bool) -> AudioFormat | None:
    if head[:4] == b"fLaC":
        return FLAC
    if _starts_mp3(head):
        return MP3
    if _starts_adts(head):
        return AAC
    if tagged:  # no other format has an ID3 tag in front
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return WAV
    if head[:4] == b"OggS":
        return OGG
    if head[4:8] == b"ftyp":
        return M4A
    if head[:4] == b"\x1a\x45\xdf\xa3" and (b"webm" in head[:64] or b"matroska" in head[:64]):
        return WEBM
    return None


def _starts_mp3(head: bytes) -> bool:
    """Whether MPEG layer III frames follow each other, as far as ``head`` reaches."""
    head = head.lstrip(b"\0") if head[:1] == b"\0" else head  # padding some taggers leave
    first = length = _mp3_frame(head)
    at, frames = 0, 0
    while length:
        at += length
        frames += 1
        if at + 4 > len(head) or frames == 3:
            return True
        length = _mp3_frame(head[at : at + 4])
    # A file of one or two frames and a trailing tag is still an mp3.
    return bool(first) and head[at : at + 3] == b"TAG"


def _mp3_frame(header: bytes) -> int:
    """Length in bytes of the layer III frame that starts here; 0 where none does."""
    if len(header) < 4:
        return 0
    word = int.from_bytes(header[:4], "big")
    version, layer = word >> 19 & 3, word >> 17 & 3
    bit_rate, rate, padding = word >> 12 & 15, word >> 10 & 3, word >> 9 & 1
    if word >> 21 != 0x7FF or version == 1 or layer != 1 or bit_rate in (0, 15) or rate == 3:
        return 0
    kbits = _MP3_BIT_RATES[1 if version == 3 else 2][bit_rate - 1]
    slot = 144_000 if version == 3 else 72_000
    return slot * kbits // _MP3_SAMPLE_RATES[version][rate] + padding


def _starts_adts(head: bytes) -> bool:
    """Whether AAC frames with ADTS headers follow each other, as far as ``head`` reaches."""
    at = frames = 0
    while frames < 3 and at + 7 <= len(head):
        if head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
            return False
        length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
        if length < 7:
            return False
        at += length
        frames += 1
    return frames > 0


def _ends_as_zip(file: BinaryIO) -> bool:
    size = file.seek(0, 2)
    file.seek(max(0, size - _ZIP_TAIL))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    # The record's own comment length must lead to the end of the file; chance bytes do not.
    return at >= 0 and len(tail) >= at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") > at
