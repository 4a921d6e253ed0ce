"""G.711 as telephones and FFmpeg know it."""

import av
import numpy as np
import pytest

from voice.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

EVERY_SAMPLE = np.arange(-32_768, 32_768).astype("<i2")
LAWS = [
    pytest.param("pcm_mulaw", encode_ulaw, decode_ulaw, id="ulaw"),
    pytest.param("pcm_alaw", encode_alaw, decode_alaw, id="alaw"),
]


def ffmpeg_decode(codec: str, data: bytes) -> bytes:
    decoder = av.codec.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    return b"".join(bytes(frame.planes[0]) for frame in decoder.decode(av.Packet(data)))


def ffmpeg_encode(codec: str, pcm: np.ndarray) -> bytes:
    encoder = av.codec.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), "s16", "mono")
    frame.sample_rate = 8_000
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.mark.parametrize(("codec", "encode", "decode"), LAWS)
def test_every_code_is_decoded_as_ffmpeg_does(codec, encode, decode):
    assert decode(bytes(range(256))) == ffmpeg_decode(codec, bytes(range(256)))


@pytest.mark.parametrize(("codec", "encode", "decode"), LAWS)
def test_every_sample_is_encoded_as_near_as_ffmpeg_does_or_nearer(codec, encode, decode):
    ours = np.frombuffer(decode(encode(EVERY_SAMPLE.tobytes())), "<i2").astype(int)
    theirs = np.frombuffer(decode(ffmpeg_encode(codec, EVERY_SAMPLE)), "<i2").astype(int)
    off, their_off = abs(ours - EVERY_SAMPLE), abs(theirs - EVERY_SAMPLE)
    assert (off <= their_off).all()
    assert (off <= np.maximum(8, (abs(EVERY_SAMPLE.astype(int)) + 132) / 31)).all()


@pytest.mark.parametrize(("codec", "encode", "decode"), LAWS)
def test_what_was_coded_once_is_not_changed_by_coding_it_again(codec, encode, decode):
    levels = decode(bytes(range(256)))
    assert decode(encode(levels)) == levels


def test_silence_is_the_byte_that_telephones_send():
    assert encode_ulaw(bytes(4)) == b"\xff\xff"
    assert encode_alaw(bytes(4)) == b"\xd5\xd5"


@pytest.mark.parametrize(("codec", "encode", "decode"), LAWS)
def test_nothing_gives_nothing_and_half_a_sample_is_refused(codec, encode, decode):
    assert encode(b"") == decode(b"") == b""
    with pytest.raises(ValueError):
        encode(b"abc")
