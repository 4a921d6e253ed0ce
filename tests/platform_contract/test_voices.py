"""GET /api/voiceTypes."""

import re

import miniaudio
import pytest

from tests.platform_contract.speaking import ok

pytestmark = pytest.mark.system

QINIU = "https://aitoken-public.qnaigc.com/ai-voice"


def test_voice_types_need_no_token_and_begin_with_the_contract_s_three(http, server):
    voices = ok(http.get("/api/voiceTypes"))
    assert voices[:3] == [
        {
            "voice_type": "qiniu_zh_female_wwxkjx",
            "voice_name": "温柔女声",
            "category": "中文",
            "sample_url": f"{QINIU}/qiniu_zh_female_wwxkjx.mp3",
        },
        {
            "voice_type": "qiniu_zh_male_wwxkjx",
            "voice_name": "温柔男声",
            "category": "中文",
            # Qiniu's own lists do not have it, so it is heard as whoever speaks for it.
            "sample_url": f"{server.base_url}/static/voices/kokoro_zm_yunjian.mp3",
        },
        {
            "voice_type": "qiniu_en_female_ysyyn",
            "voice_name": "英式英语女",
            "category": "双语音色",
            "sample_url": f"{QINIU}/qiniu_en_female_ysyyn.mp3",
        },
    ]


def test_a_stale_token_does_not_close_the_list_of_voices(http):
    ok(http.get("/api/voiceTypes", headers={"Authorization": "Bearer stale"}))


def test_each_voice_has_exactly_the_contract_s_fields_and_makes_a_role(http, alice):
    voices = ok(http.get("/api/voiceTypes"))
    assert len({voice["voice_type"] for voice in voices}) == len(voices) == 39
    for voice in voices:
        assert list(voice) == ["voice_type", "voice_name", "category", "sample_url"]
        assert all(isinstance(value, str) and value for value in voice.values())
        assert voice["category"] in ("中文", "英文", "双语音色")
        assert re.match(r"https?://[^/]+/", voice["sample_url"])
    for voice in (voices[0], voices[3], voices[-1]):
        alice.add(voice_type=voice["voice_type"])


def test_every_sample_of_ours_plays(http):
    voices = ok(http.get("/api/voiceTypes"))
    ours = [v["sample_url"] for v in voices if v["sample_url"].startswith(str(http.base_url))]
    assert len(ours) == 37
    total = 0
    for url in ours:
        answer = http.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/mpeg"
        total += len(answer.content)
        clip = miniaudio.decode(answer.content, nchannels=1, sample_rate=24_000)
        assert 2.5 < clip.duration < 5.5
        assert max(clip.samples) > 0.2 * 2**15, f"{url} is hardly to be heard"
    assert total < 2**20
