"""Synthesis by CosyVoice: what goes which way, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.servers import voiced
from tests.servers.dashscope import DashScopeServer
from tests.servers.dashscope_behaviour import Behaviour, Pace
from voice.dashscope.config import DashScopeConfig, Patience
from voice.dashscope.errors import DashScopeError
from voice.errors import ProviderError
from voice.tts import ssml
from voice.tts.base import IncrementalSynthesizer, SentenceBegins, VoiceRef
from voice.tts.cosyvoice import MAX_CHARACTERS, CosyVoiceSynthesizer

KEY = "sk-0123456789abcdef"
VOICE = VoiceRef("dashscope", "cosyvoice-v3-flash/longanyang")
OLD_VOICE = VoiceRef("dashscope", "cosyvoice-v1/longxiaochun")
SENTENCE = "今天天气很好，我们出去走走吧。"
QUICK = Patience(started=1, first_audio=1, silence=1)


@pytest.fixture
async def server() -> AsyncIterator[DashScopeServer]:
    async with DashScopeServer(api_key=KEY) as running:
        yield running


def synthesizer_of(server: DashScopeServer, **given: Any) -> CosyVoiceSynthesizer:
    fields = {"api_key": KEY, "patience": QUICK} | given
    return CosyVoiceSynthesizer(
        DashScopeConfig(websocket_url=server.websocket_url, http_url=server.http_url, **fields)
    )


@pytest.fixture
async def cosyvoice(server: DashScopeServer) -> AsyncIterator[CosyVoiceSynthesizer]:
    made = synthesizer_of(server)
    yield made
    await made.aclose()


@pytest.fixture
async def by_http(server: DashScopeServer) -> AsyncIterator[CosyVoiceSynthesizer]:
    made = synthesizer_of(server, short_text="http")
    yield made
    await made.aclose()


async def pcm_of(synthesizer: CosyVoiceSynthesizer, text: str, **given: Any) -> bytes:
    pieces = synthesizer.synthesize(text, **({"voice": VOICE} | given))
    return b"".join([piece async for piece in pieces])


def seconds_of(pcm: bytes) -> float:
    return len(pcm) / 2 / 24_000


async def texts_of(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


# By WebSocket


async def test_text_is_spoken_as_pcm_at_24_khz(server, cosyvoice):
    pcm = await pcm_of(cosyvoice, SENTENCE)
    assert pcm == voiced.pcm(voiced.seconds_of(SENTENCE))
    task = server.last("tts")
    assert (task.model, task.parameters["voice"]) == ("cosyvoice-v3-flash", "longanyang")
    assert (task.parameters["format"], task.parameters["sample_rate"]) == ("pcm", 24_000)
    assert "enable_ssml" not in task.parameters
    assert task.texts == [SENTENCE]


@pytest.mark.parametrize("size", [1, 999, 4_801])
async def test_pieces_are_whole_samples_however_they_are_cut(server, cosyvoice, size):
    server.always("tts", Behaviour(piece_bytes=size))
    pieces = [piece async for piece in cosyvoice.synthesize("好。", voice=VOICE)]
    assert all(piece and len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) == voiced.pcm(voiced.seconds_of("好。"))


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
async def test_the_speed_is_the_rate(server, cosyvoice, speed):
    pcm = await pcm_of(cosyvoice, SENTENCE, speed=speed)
    assert seconds_of(pcm) == pytest.approx(voiced.seconds_of(SENTENCE, speed), abs=0.01)
    assert server.last("tts").parameters["rate"] == speed


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"speed": 2.1}, "speed"),
        ({"speed": 0.4}, "speed"),
        ({"voice": VoiceRef("dashscope", "longanyang")}, "<model>/<voice>"),
        ({"voice": VoiceRef("dashscope", "cosyvoice-v3-flash/")}, "<model>/<voice>"),
        ({"text": "好" * (MAX_CHARACTERS + 1)}, "characters"),
    ],
)
async def test_what_it_cannot_do_is_refused_before_anybody_is_asked(server, cosyvoice, given, told):
    with pytest.raises(ProviderError, match=told) as error:
        await pcm_of(cosyvoice, **({"text": SENTENCE} | given))
    assert error.value.reason == "bad_request"
    assert server.connections_opened == 0


@pytest.mark.parametrize(
    ("voice", "told"),
    [
        ("cosyvoice-v2/longanyang", "418"),
        ("cosyvoice-v9/longanyang", "Model not found"),
    ],
)
async def test_voice_and_model_must_match(cosyvoice, voice, told):
    with pytest.raises(ProviderError, match=told) as error:
        await pcm_of(cosyvoice, SENTENCE, voice=VoiceRef("dashscope", voice))
    assert error.value.reason == "bad_request"


@pytest.mark.parametrize("text", ["", "  ", "🙂🙂", "……！", "\u200d\ufe0f"])
async def test_what_nobody_can_pronounce_is_silent(server, cosyvoice, text):
    assert await pcm_of(cosyvoice, text) == b""
    assert server.connections_opened == 0


async def test_pictures_are_not_sent(server, cosyvoice):
    await pcm_of(cosyvoice, "好呀🙂！\n走吧👨‍👩‍👧。")
    assert server.last("tts").texts == ["好呀！\n走吧。"]


async def test_text_with_angle_brackets_is_text(server, cosyvoice):
    await pcm_of(cosyvoice, "若 a<b & b>c，则 a<c。")
    assert server.last("tts").texts == ["若 a<b & b>c，则 a<c。"]
    assert "enable_ssml" not in server.last("tts").parameters


async def test_refused_content_is_refused(server, cosyvoice):
    server.next("tts", Behaviour(fault="fail_start", code="DataInspectionFailed"))
    with pytest.raises(ProviderError) as error:
        await pcm_of(cosyvoice, SENTENCE)
    assert error.value.reason == "refused"


async def test_a_hundred_at_once(server, cosyvoice):
    spoken = await asyncio.gather(*[pcm_of(cosyvoice, "你好呀。") for _ in range(100)])
    assert {len(pcm) for pcm in spoken} == {len(voiced.pcm(voiced.seconds_of("你好呀。")))}
    assert server.count("tts", "finished") == 100


# Long texts


async def test_a_long_text_goes_in_pieces_of_one_task(server, cosyvoice):
    text = SENTENCE * 60
    pcm = await pcm_of(cosyvoice, text)
    assert seconds_of(pcm) == pytest.approx(60 * voiced.seconds_of(SENTENCE), abs=0.1)
    task = server.last("tts")
    assert "".join(task.texts) == text
    assert len(task.texts) > 1
    assert all(len(piece) <= 500 and piece.endswith("。") for piece in task.texts)
    assert server.count("tts", "started") == 1


async def test_the_longest_text_is_within_the_limits_of_the_service(server, cosyvoice):
    text = SENTENCE * (MAX_CHARACTERS // len(SENTENCE))
    pieces = cosyvoice.synthesize(text, voice=VOICE)
    async for _ in pieces:
        if sum(map(len, server.last("tts").texts)) == len(text):
            break
    await pieces.aclose()
    assert server.count("tts", "failed") == 0


async def test_a_long_text_is_heard_before_all_of_it_is_made(server, cosyvoice):
    server.always("tts", Behaviour(pace=Pace(speech_rate=5)))
    pieces = cosyvoice.synthesize(SENTENCE * 60, voice=VOICE)
    assert await anext(pieces)
    assert server.last("tts").seconds < 30
    await pieces.aclose()


# Short texts by HTTP


async def test_a_short_text_by_http(server, by_http):
    assert await pcm_of(by_http, SENTENCE) == voiced.pcm(voiced.seconds_of(SENTENCE))
    assert server.connections_opened == 0
    request = server.last("speech")
    assert request.model == "cosyvoice-v3-flash"
    assert request.parameters["text"] == SENTENCE
    assert request.parameters["voice"] == "longanyang"
    assert (request.parameters["format"], request.parameters["sample_rate"]) == ("pcm", 24_000)
    assert request.headers["X-DashScope-SSE"] == "enable"


async def test_five_hundred_characters_are_short_and_one_more_is_long(server, by_http):
    await pcm_of(by_http, "好" * 499 + "。")
    assert (server.count("speech", "finished"), server.count("tts", "started")) == (1, 0)
    await pcm_of(by_http, "好" * 500 + "。")
    assert (server.count("speech", "finished"), server.count("tts", "finished")) == (1, 1)


async def test_by_http_the_speed_is_the_rate(by_http):
    pcm = await pcm_of(by_http, SENTENCE, speed=2.0)
    assert seconds_of(pcm) == pytest.approx(voiced.seconds_of(SENTENCE, 2.0), abs=0.01)


async def test_by_http_audio_streams(server, by_http):
    server.always("speech", Behaviour(pace=Pace(speech_rate=2)))
    pieces = by_http.synthesize(SENTENCE, voice=VOICE)
    assert await anext(pieces)
    assert server.last("speech").outcome == "open"
    await pieces.aclose()
    async with asyncio.timeout(3):
        while server.last("speech").outcome == "open":
            await asyncio.sleep(0.01)
    assert server.last("speech").outcome == "gone"


@pytest.mark.parametrize(
    ("behaviour", "reason", "status"),
    [
        (Behaviour(status=401), "auth", 401),
        (Behaviour(status=400, code="Arrearage"), "billing", 400),
        (Behaviour(status=400, code="DataInspectionFailed"), "refused", 400),
        (Behaviour(status=503), "unavailable", 503),
        (Behaviour(fault="stall_start"), "timeout", None),
        (Behaviour(fault="stall_first"), "timeout", None),
        (Behaviour(fault="drop_start"), "unavailable", None),
        (Behaviour(fault="invalid_json"), "unavailable", None),
        (Behaviour(fault="drop_middle"), "incomplete", None),
        (Behaviour(fault="stall_middle"), "incomplete", None),
        (Behaviour(fault="fail_middle", code="InternalError"), "incomplete", None),
    ],
)
async def test_failures_by_http(server, by_http, behaviour, reason, status):
    server.next("speech", behaviour)
    with pytest.raises(DashScopeError) as error:
        await pcm_of(by_http, SENTENCE)
    assert (error.value.reason, error.value.status) == (reason, status)
    assert KEY not in str(error.value)


async def test_by_http_a_rate_limit_is_waited_for(server, by_http):
    server.next("speech", Behaviour(status=429))
    assert await pcm_of(by_http, SENTENCE)
    assert server.count("speech", "started") == 2


async def test_where_there_is_no_http_short_texts_go_by_websocket(server, by_http):
    refusal = Behaviour(status=400, code="InvalidParameter", message="url error, please check url!")
    server.always("speech", refusal)
    for _ in range(2):
        assert await pcm_of(by_http, SENTENCE) == voiced.pcm(voiced.seconds_of(SENTENCE))
    assert server.count("speech", "started") == 1
    assert server.count("tts", "finished") == 2


async def test_a_closed_synthesiser_is_not_used_by_http_either(by_http):
    await pcm_of(by_http, SENTENCE)
    await by_http.aclose()
    with pytest.raises(RuntimeError):
        await pcm_of(by_http, SENTENCE)


# Markup


MARKUP = '<speak rate="1.1">请等<break time="500ms"/>一下，<sub alias="开放平台">OP</sub>。</speak>'


@pytest.mark.parametrize("short_text", ["websocket", "http"])
async def test_markup_goes_by_websocket_in_one_message(server, short_text):
    synthesizer = synthesizer_of(server, short_text=short_text)
    assert await pcm_of(synthesizer, MARKUP)
    task = server.last("tts")
    assert task.parameters["enable_ssml"] is True
    assert task.texts == [MARKUP]
    assert server.count("speech", "started") == 0
    await synthesizer.aclose()


async def test_long_markup_is_one_message_too(server, cosyvoice):
    text = f"<speak>{SENTENCE * 60}</speak>"
    await pcm_of(cosyvoice, text)
    assert server.last("tts").texts == [text]


async def test_markup_too_long_for_one_message_is_spoken_as_what_it_says(server, cosyvoice):
    pieces = cosyvoice.synthesize(f"<speak>{SENTENCE * 700}</speak>", voice=VOICE)
    assert await anext(pieces)
    assert "enable_ssml" not in server.last("tts").parameters
    await pieces.aclose()


@pytest.mark.parametrize(
    "text",
    [
        "<speak>请等<break>一下。</speak>",
        "<speak>请等<script>一下。</script></speak>",
        '<speak>请等<soundEvent src="http://10.0.0.1/x.wav"/>一下。</speak>',
        '<speak bgm="http://10.0.0.1/x.wav">请等一下。</speak>',
        '<speak voice="longcheng">请等一下。</speak>',
        '<!DOCTYPE speak [<!ENTITY a "啊">]><speak>请等一下。</speak>',
        "<speak><!DOCTYPE x>请等一下。</speak>",
        "<speak>请等<speak>一下。</speak></speak>",
        "<speak>请等一下。</speak><speak></speak>",
        "<speak>请等一下。",
    ],
)
async def test_markup_that_will_not_do_is_spoken_as_what_it_says(server, cosyvoice, text):
    await pcm_of(cosyvoice, text)
    task = server.last("tts")
    assert "enable_ssml" not in task.parameters
    said = "".join(task.texts).replace(" ", "")
    if text.startswith("<!"):
        assert "<" in said  # does not claim to be markup
    else:
        assert said == "请等一下。"


async def test_a_model_without_markup_speaks_what_it_says(server, cosyvoice):
    await pcm_of(cosyvoice, MARKUP, voice=OLD_VOICE)
    assert server.last("tts").texts == ["请等 一下，开放平台。"]
    assert server.count("tts", "failed") == 0


async def test_a_voice_without_markup_speaks_what_it_says(server, cosyvoice):
    refused = "SSML text is not supported at the moment!"
    server.next("tts", Behaviour(fault="fail_start", code="InvalidParameter", message=refused))
    assert await pcm_of(cosyvoice, MARKUP)
    assert server.last("tts").texts == ["请等 一下，开放平台。"]


async def test_markup_that_says_nothing_is_silent(server, cosyvoice):
    assert await pcm_of(cosyvoice, '<speak><break time="1s"/></speak>') == b""
    assert server.connections_opened == 0


@pytest.mark.parametrize(
    ("text", "document", "plain"),
    [
        ("<speak>好&amp;坏</speak>", True, "好&坏"),
        ('<?xml version="1.0"?><speak>好</speak>', True, "好"),
        ('<speak><say-as interpret-as="cardinal">12</say-as>个</speak>', True, "12个"),
        ('<speak><phoneme alphabet="py" ph="hao3">好</phoneme></speak>', True, "好"),
        ("<speak>a &lt; b<b>!</b></speak>", False, "a < b !"),
        ("<SPEAK>好</SPEAK>", False, "好"),
        ("<speak/>", True, ""),
    ],
)
def test_what_markup_says(text, document, plain):
    markup = ssml.parse(text)
    assert markup is not None
    assert markup.plain == plain
    assert bool(markup.ssml) == document


@pytest.mark.parametrize("text", ["你好", "a < b", "<p>好</p>", "<speaker>x</speaker>", ""])
def test_what_is_no_markup(text):
    assert ssml.parse(text) is None


def test_entities_do_not_grow():
    bomb = '<?xml version="1.0"?><speak>&a;' + "</speak>"
    markup = ssml.parse(bomb)
    assert markup is not None
    assert not markup.ssml


# Text streamed in


async def test_segments_are_spoken_in_one_task_as_they_come(server, cosyvoice):
    assert isinstance(cosyvoice, IncrementalSynthesizer)
    assert "dashscope" in cosyvoice.capabilities.incremental
    stream = cosyvoice.synthesize_stream(
        texts_of("久仰久仰，", "今日得见。🙂", "🙂", "请坐！"), voice=VOICE
    )
    items = [item async for item in stream]
    marks = [item.text for item in items if isinstance(item, SentenceBegins)]
    assert "".join(marks) == "久仰久仰，今日得见。请坐！"
    assert isinstance(items[0], SentenceBegins)
    assert server.count("tts", "started") == 1
    pcm = b"".join(item for item in items if isinstance(item, bytes))
    assert seconds_of(pcm) == pytest.approx(voiced.seconds_of("".join(marks)), abs=0.15)


async def test_the_connection_is_made_before_the_first_text(server, cosyvoice):
    came = asyncio.Event()

    async def writer() -> AsyncIterator[str]:
        await came.wait()
        yield "来了。"

    stream = cosyvoice.synthesize_stream(writer(), voice=VOICE)
    first = asyncio.create_task(anext(stream))
    async with asyncio.timeout(3):
        while server.count("tts", "started") == 0:
            await asyncio.sleep(0.01)
    came.set()
    assert await first == SentenceBegins("来了。")
    await stream.aclose()


async def test_warm_tells_of_a_wrong_key(server):
    wrong = synthesizer_of(server, api_key="sk-wrong")
    for ask in (wrong.warm, wrong.probe):
        with pytest.raises(ProviderError) as error:
            await ask()
        assert error.value.reason == "auth"
    await wrong.aclose()
