"""The catalogue: what is offered, and who speaks each voice."""

import asyncio

import pytest
from django.core.management import call_command
from django.test import Client

from voice import catalogue
from voice.models import Voice
from voice.tts.base import VoiceRef

pytestmark = pytest.mark.django_db


@pytest.fixture
def voices():
    call_command("load_presets", verbosity=0)


def sample_urls(**headers):
    data = Client().get("/api/voiceTypes", headers=headers).json()["data"]
    return {voice["voice_type"]: voice["sample_url"] for voice in data}


def test_a_sample_of_ours_has_the_address_the_client_asked_at(voices):
    urls = sample_urls(Host="localhost:8123")
    assert (
        urls["kokoro_zf_xiaoxiao"] == "http://localhost:8123/static/voices/kokoro_zf_xiaoxiao.mp3"
    )
    assert urls["qiniu_zh_female_wwxkjx"].startswith("https://aitoken-public.qnaigc.com/")


def test_or_the_platform_s_public_address(voices, settings):
    settings.PUBLIC_BASE_URL = "https://play.example"
    url = sample_urls()["kokoro_zf_xiaoxiao"]
    assert url == "https://play.example/static/voices/kokoro_zf_xiaoxiao.mp3"


def test_a_voice_taken_off_is_not_offered_at_once(
    voices, client, django_capture_on_commit_callbacks
):
    assert "kokoro_af_sky" in sample_urls()
    with django_capture_on_commit_callbacks(execute=True):
        row = Voice.objects.get(voice_type="kokoro_af_sky")
        row.enabled = False
        row.save()
    assert "kokoro_af_sky" not in sample_urls()
    with django_capture_on_commit_callbacks(execute=True):
        row.delete()
    assert catalogue.get("kokoro_af_sky") is None


def test_the_list_costs_no_query_after_the_first(voices, client, django_assert_num_queries):
    with django_assert_num_queries(1):
        client.get("/api/voiceTypes")
    with django_assert_num_queries(0):
        client.get("/api/voiceTypes")
        catalogue.resolve("kokoro_af_sky", ["local"])


def test_an_old_snapshot_is_taken_anew(voices, monkeypatch):
    assert catalogue.get("kokoro_af_sky").voice_name == "Sky (American)"
    Voice.objects.filter(voice_type="kokoro_af_sky").update(voice_name="天")  # no signal
    assert catalogue.get("kokoro_af_sky").voice_name == "Sky (American)"
    monkeypatch.setattr(catalogue, "SNAPSHOT_SECONDS", 0)
    assert catalogue.get("kokoro_af_sky").voice_name == "天"


# --- Who speaks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voice_type", "providers", "expected"),
    [
        # The voice's own provider, wherever it stands in the list.
        ("kokoro_zm_yunxi", ["local"], VoiceRef("local", "zm_yunxi", "zh")),
        ("kokoro_zm_yunxi", ["openai", "local"], VoiceRef("local", "zm_yunxi", "zh")),
        (
            "qiniu_zh_female_wwxkjx",
            ["local", "qiniu"],
            VoiceRef("qiniu", "qiniu_zh_female_wwxkjx", "zh"),
        ),
        # OpenAI's names: OpenAI, else as they are mapped, else the nearest; in any language.
        ("onyx", ["dashscope", "openai"], VoiceRef("openai", "onyx", "zh")),
        ("onyx", ["local", "dashscope"], VoiceRef("dashscope", "cosyvoice-v2/longsanshu", "zh")),
        ("onyx", ["local"], VoiceRef("local", "zm_yunjian", "zh")),
        # One of the contract that Qiniu does not know.
        (
            "qiniu_zh_male_wwxkjx",
            ["local", "qiniu"],
            VoiceRef("qiniu", "qiniu_zh_male_whxkxg", "zh"),
        ),
        # Else the nearest of the first one: language, then gender, then the order.
        ("qiniu_zh_female_wwxkjx", ["local"], VoiceRef("local", "zf_xiaoxiao", "zh")),
        ("qiniu_zh_male_wwxkjx", ["local"], VoiceRef("local", "zm_yunjian", "zh")),
        ("qiniu_en_female_ysyyn", ["local"], VoiceRef("local", "af_heart", "en")),
        ("kokoro_af_sky", ["openai"], VoiceRef("openai", "shimmer", "en")),
        ("kokoro_am_puck", ["openai"], VoiceRef("openai", "echo", "en")),
        ("kokoro_af_sky", ["qiniu"], VoiceRef("qiniu", "qiniu_en_female_ysyyn", "en")),
        ("kokoro_am_puck", ["qiniu"], VoiceRef("qiniu", "qiniu_en_male_azyyn", "en")),
        (
            "kokoro_am_puck",
            ["dashscope", "qiniu"],
            VoiceRef("dashscope", "cosyvoice-v3-flash/loongandy_v3", "en"),
        ),
        ("longjiaxin_v3", ["local"], VoiceRef("local", "zf_xiaoxiao", "zh")),
        # A provider without any voice is passed over.
        (
            "kokoro_am_puck",
            ["elsewhere", "qiniu"],
            VoiceRef("qiniu", "qiniu_en_male_azyyn", "en"),
        ),
        # A voice that nobody knows any more.
        ("gone", ["local"], VoiceRef("local", "zf_xiaoxiao", "zh")),
        ("gone", ["openai"], VoiceRef("openai", "shimmer", "zh")),
    ],
)
def test_who_speaks_a_voice(voices, settings, voice_type, providers, expected):
    settings.TTS_VOICE = "shimmer"
    assert catalogue.resolve(voice_type, providers) == expected


def test_an_unknown_voice_keeps_the_language_of_its_role(voices):
    ref = catalogue.resolve("gone", ["local"], language="en")
    assert ref == VoiceRef("local", "af_heart", "en")


def test_a_voice_taken_off_is_spoken_by_the_nearest(voices):
    Voice.objects.filter(voice_type="kokoro_zm_yunjian").update(enabled=False)
    assert catalogue.resolve("kokoro_zm_yunjian", ["local"]).name == "zm_yunxi"


def test_a_voice_of_the_operator_s_openai_server_keeps_its_name(voices):
    Voice.objects.create(
        voice_type="mine", voice_name="Mine", provider="openai", provider_voice="my/voice:1"
    )
    assert catalogue.resolve("mine", ["local", "openai"]).name == "my/voice:1"


@pytest.mark.parametrize("providers", [[], ["elsewhere"]])
def test_where_nobody_has_a_voice_it_says_so(voices, providers):
    with pytest.raises(catalogue.VoiceNotServed, match="kokoro_af_sky"):
        catalogue.resolve("kokoro_af_sky", providers)


@pytest.mark.parametrize(
    ("ref", "provider", "expected"),
    [
        (("qiniu", "qiniu_zh_male_wwxkjx", "zh"), "local", ("local", "zm_yunjian", "zh")),
        (("local", "bf_emma", "en"), "qiniu", ("qiniu", "qiniu_en_female_ysyyn", "en")),
        (("local", "zm_yunxi", "zh"), "qiniu", ("qiniu", "qiniu_zh_male_ljfdxz", "zh")),
        (("local", "zf_xiaoyi", "zh"), "openai", ("openai", "alloy", "zh")),
        (("local", "zm_yunxi", "zh"), "openai", ("openai", "echo", "zh")),
        (("openai", "alloy", "en"), "local", ("local", "af_heart", "en")),
        (
            ("openai", "alloy", "en"),
            "dashscope",
            ("dashscope", "cosyvoice-v2/longxiaochun_v2", "zh"),
        ),
        (
            ("local", "zm_yunxi", "zh"),
            "dashscope",
            ("dashscope", "cosyvoice-v3-flash/longanyang", "zh"),
        ),
        (("local", "zm_yunxi", "zh"), "elsewhere", None),
    ],
)
@pytest.mark.parametrize("warm", [True, False])
async def test_a_fall_back_finds_its_voice_on_the_event_loop(ref, provider, expected, warm):
    # No table is touched: asking the ORM on an event loop raises.
    if warm:
        await asyncio.to_thread(_forgetful_load)
    found = catalogue.nearest(VoiceRef(*ref), provider)
    assert found == (VoiceRef(*expected) if expected else None)


def _forgetful_load():
    entries = tuple(catalogue.delivered())
    by_type = {entry.voice_type: entry for entry in entries}
    catalogue._snapshot = catalogue._Snapshot(entries, by_type, taken_at=0.0)
