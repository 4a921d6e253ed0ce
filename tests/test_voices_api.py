"""The catalogue: what is offered, and who speaks each voice."""

import asyncio

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.services import tokens_issue, user_register
from roles.models import Role
from tests.servers.behaviour import Behaviour
from tests.servers.openai_api import VOICES, OpenAIServer
from tests.servers.qiniu import QiniuServer
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


# --- Which are offered ------------------------------------------------------------------

PROMISED = ["qiniu_zh_female_wwxkjx", "qiniu_zh_male_wwxkjx", "qiniu_en_female_ysyyn"]


@pytest.mark.parametrize(
    ("providers", "number"),
    [
        (["local"], 3 + 36),
        (["openai"], 3 + 13),
        (["qiniu"], 3 + 36),
        (["dashscope"], 3 + 13 + 179),
        (["dashscope", "openai", "qiniu", "local"], 3 + 36 + 13 + 36 + 179),
        ([], 3 + 36),  # nobody speaks; the local voices need no more than a switch
    ],
)
def test_the_voices_of_the_providers_switched_on_are_offered(voices, settings, providers, number):
    settings.SPEECH = False
    settings.TTS_PROVIDERS = providers
    urls = sample_urls()
    assert (list(urls)[:3], len(urls)) == (PROMISED, number)
    for url in urls.values():
        assert url.startswith(("http://testserver/", "https://aitoken-public.qnaigc.com/"))


def test_a_server_with_voices_of_its_own_does_not_have_openai_s(voices, settings):
    settings.TTS_PROVIDERS = ["openai"]
    settings.TTS_VOICE = "FunAudioLLM/CosyVoice2-0.5B:alex"
    assert list(sample_urls()) == PROMISED
    for voice_type in ("alloy", "kokoro_af_sky", "gone"):
        ref = catalogue.resolve(voice_type, ["openai"])
        assert (ref.provider, ref.name) == ("openai", settings.TTS_VOICE)
    row = catalogue.get("kokoro_af_sky").row()
    row.voice_type, row.provider, row.provider_voice = "mine", "openai", "FunAudioLLM/x:bella"
    row.save()
    catalogue.forget()
    assert list(sample_urls()) == [*PROMISED, "mine"]


def test_a_voice_that_its_vendor_has_no_longer_is_not_offered(voices, settings):
    settings.TTS_PROVIDERS = ["qiniu", "local"]
    Voice.objects.filter(provider="qiniu").update(listed=False)
    catalogue.forget()
    assert set(sample_urls()) == {*PROMISED, *catalogue.served_types(["local"])}
    ref = catalogue.resolve("qiniu_zh_female_wwxkjx", ["qiniu", "local"])
    assert ref == VoiceRef("local", "zf_xiaoxiao", "zh")


@pytest.mark.parametrize(
    ("name", "voice_type"),
    [
        ("kokoro_zf_xiaoxiao", "kokoro_zf_xiaoxiao"),
        ("zf_xiaoxiao", "kokoro_zf_xiaoxiao"),
        ("alloy", "alloy"),
        ("longanyang", "longanyang"),
        ("cosyvoice-v3-flash/longanyang", "longanyang"),
        ("cosyvoice-v2/longxiaochun_v2", "longxiaochun_v2"),
        ("cosyvoice-v3-plus/longanyang", None),  # the operator has not switched it on
        ("cosyvoice-v1/longanyang", None),
        ("nobody", None),
        ("", None),
    ],
)
def test_a_voice_is_found_by_any_of_its_names(voices, name, voice_type):
    found = catalogue.find(name)
    assert (found and found.voice_type) == voice_type


def test_a_voice_taken_off_is_not_found(voices):
    Voice.objects.filter(voice_type="alloy").update(enabled=False)
    assert catalogue.find("alloy") is None


# --- Whose voice is heard instead -------------------------------------------------------


@pytest.mark.parametrize(
    ("voice_type", "providers", "heard"),
    [
        ("kokoro_zm_yunxi", ["local"], None),
        ("kokoro_zm_yunxi", ["qiniu"], "qiniu_zh_male_ljfdxz"),
        ("kokoro_zm_yunxi", [], None),
        ("qiniu_zh_female_wwxkjx", ["local"], "kokoro_zf_xiaoxiao"),
        ("nova", ["dashscope"], None),  # as it is offered
        ("nova", ["local"], "kokoro_zf_xiaoxiao"),
        ("gone", ["local"], "kokoro_zf_xiaoxiao"),
    ],
)
def test_a_role_says_who_speaks_in_its_voice_s_place(
    voices, settings, voice_type, providers, heard
):
    settings.SPEECH = False
    settings.TTS_PROVIDERS = providers
    user = user_register(username="li", password="pear-garden-1")
    role = Role.objects.create(
        owner=user, name="冒险家", description="d" * 10, age=1, voice_type=voice_type
    )
    headers = {"Authorization": f"Bearer {tokens_issue(user=user).access}"}
    data = Client().get(f"/api/role/{role.pk}", headers=headers).json()["data"]
    name = heard and catalogue.get(heard).voice_name
    expected = heard and {"voice_type": heard, "voice_name": name}
    assert (data["voice_type"], data["voice_in_use"]) == (voice_type, expected)


# --- Loading ----------------------------------------------------------------------------


def loaded(capsys, *arguments):
    call_command("load_voices", *arguments)
    return capsys.readouterr().out.splitlines()


def test_one_provider_s_voices_are_loaded_alone(capsys):
    assert loaded(capsys, "--provider", "dashscope") == ["Files: 189 added, 0 updated, 0 unchanged"]
    assert set(Voice.objects.values_list("provider", flat=True)) == {"dashscope"}
    assert loaded(capsys) == ["Files: 88 added, 0 updated, 189 unchanged"]


def test_what_the_operator_gave_a_voice_stays(voices):
    rows = Voice.objects.filter(voice_type="longanyang")
    rows.update(sample_url="/mine.mp3", stand_in="kokoro_zm_yunxi", enabled=False, sort=3)
    call_command("load_voices", verbosity=0)
    kept = rows.get()
    assert (kept.sample_url, kept.stand_in) == ("/mine.mp3", "kokoro_zm_yunxi")
    assert (kept.enabled, kept.sort) == (False, 3)
    call_command("load_voices", "--reset", verbosity=0)
    reset = rows.get()
    assert (reset.sample_url, reset.stand_in, reset.enabled) == ("", "", True)


@pytest.mark.django_db(transaction=True)
async def test_a_vendor_s_own_list_is_taken_for_what_it_has(settings, capsys):
    async with QiniuServer() as server:
        settings.QINIU_API_KEY, settings.QINIU_BASE_URL = "any", server.base_url
        lines = await asyncio.to_thread(loaded, capsys, "--live", "--provider", "qiniu")
        # The loopback knows four: three of ours, and one that is new.
        assert lines == [
            "Files: 39 added, 0 updated, 0 unchanged",
            "List of qiniu: 1 added, 38 updated, 1 unchanged",
        ]
        rows = {row.voice_type: row async for row in Voice.objects.all()}
        new = rows["qiniu_multi_male_rysy"]
        assert (new.language, new.gender, new.category) == ("mul", "male", "双语音色")
        assert [name for name, row in rows.items() if row.listed] == [
            "qiniu_zh_female_wwxkjx",
            "qiniu_zh_male_ljfdxz",
            "qiniu_en_female_azyy",
            "qiniu_multi_male_rysy",
        ]
        assert rows["qiniu_zh_female_wwxkjx"].voice_name == "温柔女声"  # as the API promises
        assert await asyncio.to_thread(loaded, capsys, "--live", "--provider", "qiniu") == [
            "Files: 0 added, 0 updated, 39 unchanged",
            "List of qiniu: 0 added, 0 updated, 40 unchanged",
        ]

        server.always("voices", Behaviour(status=401))
        with pytest.raises(CommandError, match="qiniu: "):
            await asyncio.to_thread(loaded, capsys, "--live")


@pytest.mark.django_db(transaction=True)
async def test_a_server_s_own_list_is_taken_where_it_has_one(settings, capsys):
    async with OpenAIServer() as server:
        settings.TTS_BASE_URL, settings.TTS_SERVER = server.base_url, "kokoro-fastapi"
        order = ("--live", "--provider", "openai")
        lines = await asyncio.to_thread(loaded, capsys, *order)
        assert lines[1] == "List of openai: 3 added, 13 updated, 0 unchanged"
        found = [row async for row in Voice.objects.filter(listed=True)]
        assert [(row.voice_type, row.provider_voice) for row in found] == [
            (f"openai_{name}", name) for name in VOICES
        ]
        assert [(row.language, row.gender) for row in found] == [
            ("zh", "female"),
            ("en", "male"),
            ("mul", "other"),
        ]
        settings.TTS_SERVER = "groq"
        with pytest.raises(CommandError, match="Groq has no list of its voices"):
            await asyncio.to_thread(loaded, capsys, *order)
        lines = await asyncio.to_thread(loaded, capsys, "--live")
        assert lines[-1] == "openai: Groq has no list of its voices"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--live", "--provider", "dashscope"], "dashscope has no list"),
        (["--live"], "no provider that is switched on has a list"),
        (["--live", "--provider", "qiniu"], "QINIU_API_KEY is not set"),
        (["--live", "--provider", "openai"], "openai needs a base_url"),
        (["--provider", "nobody"], "invalid choice"),
    ],
)
def test_a_wrong_order_is_refused(settings, arguments, reason):
    settings.QINIU_API_KEY = ""
    with pytest.raises(CommandError, match=reason):
        call_command("load_voices", *arguments)


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
