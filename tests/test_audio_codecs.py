"""Uploads are believed only when they decode; what we encode decodes as what it was."""

import contextlib
import io
import os
import random
import socket
import struct
import sys
import time
import tracemalloc
import wave
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.audio.resampler import AudioResampler

from voice.audio.codecs import (
    AudioError,
    Mp3Decoder,
    Mp3Encoder,
    decode_clip,
    decode_mp3_stream,
    wav_bytes,
    wav_header,
)

LIMITS = {"max_seconds": 60.0, "max_bytes": 10 * 1024 * 1024}


def tone(seconds: float, rate: int = 24_000, hertz: float = 440.0) -> bytes:
    t = np.arange(int(seconds * rate)) / rate
    return (12_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def encode(
    container: str, codec: str, seconds: float = 2.0, rate: int = 48_000, layout: str = "stereo"
) -> bytes:
    """A file as a phone or a browser would make it."""
    if codec == "vorbis":
        return vorbis(seconds, rate, layout)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        _mux_tone(out, stream, seconds, rate)
    return buffer.getvalue()


def vorbis(seconds: float, rate: int, layout: str) -> bytes:
    buffer = io.BytesIO()
    mono = np.frombuffer(tone(seconds, rate), dtype="<i2")
    samples = np.stack([mono] * (2 if layout == "stereo" else 1), axis=1)
    soundfile.write(buffer, samples, rate, format="OGG", subtype="VORBIS")
    return buffer.getvalue()


def _mux_tone(out, stream, seconds, rate):
    mono = np.frombuffer(tone(seconds, rate), dtype="<i2").reshape(1, -1)
    resampler = AudioResampler(
        stream.codec_context.format, stream.codec_context.layout, rate, stream.frame_size or 1024
    )
    frame = av.AudioFrame.from_ndarray(mono, format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


def with_video(container: str, video: str, audio: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        picture = out.add_stream(video, rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = out.add_stream(audio, rate=48_000, layout="mono")
        for n in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), n * 20, np.uint8), "rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 10)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        _mux_tone(out, sound, 1.0, 48_000)
    return buffer.getvalue()


def reason(data: bytes, **limits) -> str:
    with pytest.raises(AudioError) as caught:
        decode_clip(data, **{**LIMITS, **limits})
    assert str(caught.value)
    return caught.value.reason


def loudest_hertz(pcm: bytes, rate: int) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


ACCEPTED = [
    ("mp3", "libmp3lame", "mp3", "audio/mpeg"),
    ("wav", "pcm_s16le", "wav", "audio/wav"),
    ("wav", "pcm_s24le", "wav", "audio/wav"),
    ("wav", "pcm_f32le", "wav", "audio/wav"),
    ("wav", "pcm_mulaw", "wav", "audio/wav"),
    ("ipod", "aac", "m4a", "audio/mp4"),
    ("mp4", "aac", "m4a", "audio/mp4"),
    ("adts", "aac", "aac", "audio/aac"),
    ("ogg", "libopus", "ogg", "audio/ogg"),
    ("ogg", "vorbis", "ogg", "audio/ogg"),
    ("flac", "flac", "flac", "audio/flac"),
    ("webm", "libopus", "webm", "audio/webm"),
    ("matroska", "libopus", "webm", "audio/webm"),
]


@pytest.mark.parametrize(("container", "codec", "extension", "mime"), ACCEPTED)
def test_what_people_record_is_decoded(container, codec, extension, mime, tmp_path):
    data = encode(container, codec)
    clip = decode_clip(data, **LIMITS)
    assert (clip.container, clip.mime, clip.sample_rate) == (extension, mime, 16_000)
    assert clip.seconds == pytest.approx(2.0, abs=0.15)
    assert len(clip.pcm) == round(clip.seconds * 16_000) * 2
    assert loudest_hertz(clip.pcm, 16_000) == pytest.approx(440, abs=2)
    path = tmp_path / "upload.exe"  # the name says nothing
    path.write_bytes(data)
    assert decode_clip(path, **LIMITS) == clip


def test_live_recording_without_a_duration():
    """MediaRecorder writes WebM that was never finalised: no duration, no index."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self):
            return True

        def write(self, b):
            self.data += bytes(b)
            return len(b)

    pipe = Pipe()
    with av.open(pipe, "w", format="webm", options={"live": "1"}) as out:
        _mux_tone(out, out.add_stream("libopus", rate=48_000, layout="mono"), 2.0, 48_000)
    assert decode_clip(bytes(pipe.data), **LIMITS).seconds == pytest.approx(2.0, abs=0.1)
    streamed_wav = wav_header(24_000) + tone(1.0)
    assert decode_clip(streamed_wav, **LIMITS).seconds == pytest.approx(1.0, abs=0.01)


def test_mp3_with_a_tag_and_cover_art():
    cover = b"\0image/png\0\x03\0" + b"\x89PNG\r\n\x1a\n" + os.urandom(9_000)
    frame = b"APIC" + struct.pack(">I", len(cover)) + b"\0\0" + cover
    size = len(frame)
    tag = b"ID3\x03\0\0" + bytes(size >> s & 0x7F for s in (21, 14, 7, 0)) + frame
    clip = decode_clip(tag + encode("mp3", "libmp3lame"), **LIMITS)
    assert (clip.container, clip.seconds) == ("mp3", pytest.approx(2.0, abs=0.15))


def test_mp3_that_changes_its_rate_on_the_way():
    data = b""
    for rate in (24_000, 16_000):
        encoder = Mp3Encoder(rate)
        data += encoder.encode(tone(1.0, rate)) + encoder.finish()
    clip = decode_clip(data, **LIMITS)
    assert clip.seconds == pytest.approx(2.0, abs=0.25)
    assert loudest_hertz(clip.pcm[-24_000:], 16_000) == pytest.approx(440, abs=2)


def truncated(container: str, codec: str, share: float = 0.5) -> bytes:
    data = encode(container, codec)
    return data[: int(len(data) * share)]


def noise(length: int) -> bytes:
    return random.Random(7).randbytes(length)


def empty_wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil.js", "alert(1)")
    return buffer.getvalue()


MP3 = encode("mp3", "libmp3lame", 1.0)
HOSTILE = {
    "nothing": (b"", "empty"),
    "zero-length wav": (empty_wav(), "empty"),
    "text": (b"hello " * 1000, "not_audio"),
    "noise": (noise(50_000), "not_audio"),
    "a real executable": (Path(sys.executable).read_bytes()[:2_000_000], "not_audio"),
    "wav header, garbage behind": (b"RIFF\x28\x4e\0\0WAVE" + noise(20_000), "broken"),
    "wav header alone": (wav_header(16_000, 0)[:20], "truncated"),
    "mp3 header, noise behind": (MP3[:4] + noise(20_000), "not_audio"),
    "a few mp3 frames, noise behind": (MP3[:3000] + noise(400_000), "broken"),
    "flac header, noise behind": (encode("flac", "flac")[:100] + noise(50_000), "broken"),
    "ogg page, noise behind": (encode("ogg", "libopus")[:300] + noise(50_000), "broken"),
    "webm header, noise behind": (encode("webm", "libopus")[:260] + noise(50_000), "broken"),
    "m4a header, noise behind": (encode("ipod", "aac")[:60] + noise(50_000), "broken"),
    "m4a cut in half": (truncated("ipod", "aac"), "broken"),
    "wav cut in half": (truncated("wav", "pcm_s16le"), "truncated"),
    "flac cut in half": (truncated("flac", "flac"), "truncated"),
    "html": (b"<html><script>alert(1)</script></html>" * 50, "not_audio"),
    "svg in front of an mp3": (b"<svg onload='alert(1)'/>" + MP3, "not_audio"),
    "html within an id3 tag": (
        b"ID3\x03\0\0\0\0\0\x30" + b"<script>alert(1)</script>".ljust(48, b"\0") + MP3,
        "not_audio",
    ),
    "an archive behind an mp3": (MP3 + zipped(), "not_audio"),
    "playlist": (b"#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n", "not_audio"),
    "hls playlist": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n",
        "not_audio",
    ),
    "concat script": (b"ffconcat version 1.0\nfile /etc/passwd\n", "not_audio"),
    "playlist behind a magic number": (b"OggS#EXTM3U\nfile:///etc/passwd\n" * 20, "broken"),
    "avi": (b"RIFF\x24\0\0\0AVI LIST" + noise(4_000), "not_audio"),
    "ogg with a video": (with_video("ogg", "libvpx", "libopus"), "unsupported"),
    "webm with a video": (with_video("webm", "libvpx", "libopus"), "unsupported"),
    "mp4 with a video": (with_video("mp4", "mpeg4", "aac"), "unsupported"),
    "a codec nobody accepted": (encode("mp4", "ac3"), "unsupported"),
    "mp2 named mp3": (encode("mp2", "mp2"), "not_audio"),
    "one hertz": (wav_header(1, 40_000) + b"\0" * 40_000, "unsupported"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_audio_is_refused(name):
    data, expected = HOSTILE[name]
    assert reason(data) == expected


def test_an_hour_in_a_small_file_stops_at_the_limit():
    """Silence packs well: what bounds the work is what comes out, not what went in."""
    hour = io.BytesIO()
    with av.open(hour, "w", format="flac") as out:
        stream = out.add_stream("flac", rate=16_000, layout="mono")
        silent = np.zeros((1, 16_000), np.int16)
        for second in range(3600):
            frame = av.AudioFrame.from_ndarray(silent, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, second * 16_000
            frame.time_base = Fraction(1, 16_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    data = hour.getvalue()
    assert len(data) < 1_000_000
    tracemalloc.start()
    started = time.process_time()
    assert reason(data) == "too_long"
    spent, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < 2.0
    assert peak < 12_000_000


def test_an_hour_of_wav_stops_at_the_limit():
    data = wav_header(8_000, 3600 * 16_000) + bytes(3600 * 16_000)
    assert reason(data, max_bytes=1 << 30) == "too_long"
    assert reason(data) == "too_large"


def test_the_limits_are_exact_enough():
    data = wav_bytes(tone(2.0), 24_000)
    assert reason(data, max_seconds=1.9) == "too_long"
    assert decode_clip(data, max_seconds=2.0, max_bytes=len(data)).seconds == pytest.approx(2.0)
    assert reason(data, max_bytes=len(data) - 1) == "too_large"


def test_a_playlist_connects_to_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts\n".encode()
        for text in (b"#EXTM3U\n#EXTINF:5,\n" + url, b"ffconcat version 1.0\nfile " + url, url):
            for magic in (b"", b"OggS", b"fLaC", b"ID3\x03\0\0\0\0\0\0", b"\0\0\0\x08ftyp"):
                assert reason(magic + text) in ("not_audio", "broken", "no_audio")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_garbage_never_ends_in_another_exception():
    chance = random.Random(11)
    for container, codec, *_ in ACCEPTED:
        good = bytearray(encode(container, codec, 0.5))
        for _ in range(12):
            bad = bytearray(good)
            for _ in range(chance.choice((1, 8, 64))):
                bad[chance.randrange(len(bad))] = chance.randrange(256)
            cut = bytes(bad[: chance.randrange(1, len(bad) + 1)])
            with contextlib.suppress(AudioError):
                assert 0 < decode_clip(cut, **LIMITS).seconds <= 60


# --- MP3 and WAV out ---------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_mp3_pieces_join_into_one_file(rate):
    pcm, encoder = tone(3.0, rate), Mp3Encoder(rate)
    pieces = [encoder.encode(pcm[at : at + 1_234]) for at in range(0, len(pcm), 1_234)]
    pieces.append(encoder.finish())
    clip = decode_clip(b"".join(pieces), **LIMITS, sample_rate=rate)
    assert (clip.container, clip.seconds) == ("mp3", pytest.approx(3.0, abs=0.2))
    assert loudest_hertz(clip.pcm, rate) == pytest.approx(440, abs=2)
    assert any(pieces[:20]), "nothing came out until the end"


def test_mp3_encoder_edges():
    encoder = Mp3Encoder()
    assert encoder.encode(b"") == b""
    assert encoder.finish() == b""
    with pytest.raises(ValueError, match="within a sample"):
        Mp3Encoder().encode(b"\0\0\0")


def test_mp3_is_decoded_while_it_arrives():
    encoder = Mp3Encoder()
    mp3 = encoder.encode(tone(3.0)) + encoder.finish()
    tagged = b"ID3\x04\0\0\0\0\x02\x00" + b"\xff\xfb" * 128 + mp3
    for data in (mp3, tagged):
        for step in (1, 417, 100_000):
            decoder = Mp3Decoder(24_000)
            pieces = [decoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
            pieces.append(decoder.finish())
            pcm = b"".join(pieces)
            assert len(pcm) / 48_000 == pytest.approx(3.0, abs=0.2)
            assert loudest_hertz(pcm, 24_000) == pytest.approx(440, abs=2)
            if step == 417:
                assert any(pieces[:8]), "the first sound waits for the end"


async def test_mp3_stream_to_pcm_at_another_rate():
    encoder = Mp3Encoder(48_000)
    mp3 = encoder.encode(tone(1.0, 48_000)) + encoder.finish()

    async def arriving(data: bytes):
        for at in range(0, len(data), 700):
            yield data[at : at + 700]

    pcm = b"".join([p async for p in decode_mp3_stream(arriving(mp3), sample_rate=16_000)])
    assert len(pcm) / 32_000 == pytest.approx(1.0, abs=0.15)
    assert [p async for p in decode_mp3_stream(arriving(b""))] == []
    with pytest.raises(AudioError, match="no MP3 frame"):
        [p async for p in decode_mp3_stream(arriving(b'{"error": "quota"}' * 50))]
    with pytest.raises(AudioError, match="no MP3 frame"):
        [p async for p in decode_mp3_stream(arriving(b"oops"))]


def test_wav_is_read_by_the_standard_library():
    pcm = tone(0.5, 16_000)
    with wave.open(io.BytesIO(wav_bytes(pcm, 16_000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert file.readframes(file.getnframes()) == pcm
    assert len(wav_header(24_000)) == 44
