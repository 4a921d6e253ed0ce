"""``/samples/…``: a voice without a sample of its vendor's speaks one, once."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import miniaudio
import pytest

from tests.platform import Client, ProviderProcess, loopback_dashscope, loopback_providers
from tests.processes import ServerProcess, environment, start, start_server
from tests.services import RedisServer

pytestmark = pytest.mark.system

SPEECH_ONLY = ("TTS_BASE_URL", "TTS_API_KEY", "TTS_MODEL")


@contextmanager
def loopback_qiniu() -> Iterator[ProviderProcess]:
    command = [sys.executable, "-m", "tests.servers.qiniu"]
    with start("qiniu", command, environment({})) as process:
        process.wait_for(lambda: "/v1" in process.log())
        url = next(line for line in process.log().splitlines() if line.endswith("/v1"))
        yield ProviderProcess(process, url)


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers(tts_first_ms=200) as process:
        yield process


@pytest.fixture(autouse=True)
def _healthy(providers: ProviderProcess) -> None:
    providers.reset()


def speaking(providers: ProviderProcess, **settings: str) -> dict[str, str]:
    return {name: providers.settings[name] for name in SPEECH_ONLY} | settings


@pytest.fixture(scope="module")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with start_server(speaking(providers)) as process:
        yield process


def urls(server: ServerProcess) -> dict[str, str]:
    voices = httpx.get(f"{server.base_url}/api/voiceTypes").json()["data"]
    return {voice["voice_type"]: voice["sample_url"] for voice in voices}


def asked(providers: ProviderProcess) -> list[dict[str, str]]:
    return [e["body"] for e in providers.log()["exchanges"] if e["endpoint"] == "speech"]


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
def test_it_is_made_once_and_kept_over_a_restart(providers, kind):
    server = start_server(speaking(providers), kind)
    url = urls(server)["onyx"]
    assert url.startswith(f"{server.base_url}/samples/")

    async def at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30) as client:
            return await asyncio.gather(*(client.get(url) for _ in range(8)))

    answers = asyncio.run(at_once())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    (request,) = asked(providers)
    assert (request["voice"], "你好" in request["input"]) == ("onyx", True)
    assert answers[0].headers["content-type"] == "audio/mpeg"
    assert miniaudio.decode(answers[0].content).duration > 1

    server.stop()
    providers.script("speech", status=500)
    with start_server(speaking(providers), data_dir=server.data_dir) as again:
        path = url.removeprefix(server.base_url)
        assert urls(again)["onyx"] == again.base_url + path
        assert httpx.get(again.base_url + path).content == answers[0].content
    assert len(asked(providers)) == 1


def test_players_may_seek_and_ask_again(server):
    url = urls(server)["nova"]
    whole = httpx.get(url)
    part = httpx.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    beyond = httpx.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
    same = httpx.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    head = httpx.head(url)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["x-content-type-options"] == "nosniff"
    other = httpx.options(url)
    assert (other.status_code, other.headers["allow"]) == (405, "GET, HEAD")


def test_processes_that_are_asked_at_once_make_it_once(providers):
    with RedisServer() as redis:
        settings = speaking(providers, REDIS_URL=redis.url)
        with start_server(settings) as one, start_server(settings, data_dir=one.data_dir) as other:
            path = urls(one)["cedar"].removeprefix(one.base_url)
            addresses = [server.base_url + path for server in (one, other) * 3]

            async def at_once() -> list[httpx.Response]:
                async with httpx.AsyncClient(timeout=30) as client:
                    return await asyncio.gather(*map(client.get, addresses))

            answers = asyncio.run(at_once())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(asked(providers)) == 1


@pytest.mark.parametrize(
    ("voice", "fault"),
    [
        ("shimmer", {"status": 500}),
        ("coral", {"status": 401}),
        ("sage", {"fault": "drop_middle"}),
        ("verse", {"status": 400}),
    ],
)
def test_a_failure_is_said_and_not_kept(server, providers, voice, fault):
    url = urls(server)[voice]
    providers.script("speech", **fault)
    refused = httpx.get(url, headers={"Accept-Language": "en"}, timeout=30)
    assert refused.status_code == 503
    assert refused.text == "This voice cannot be heard just now"
    assert refused.headers["content-type"].startswith("text/plain")
    name = url.rpartition("/")[2]
    assert not (server.data_dir / "media" / "samples" / name).exists()
    providers.reset()
    with httpx.Client(timeout=30) as client:
        server.wait_for(lambda: client.get(url).status_code == 200)  # the provider rests a while


@pytest.mark.parametrize(
    "path", ["0" * 32 + ".mp3", "x.mp3", "../../secret_key", "..%2f..%2fsecret_key", ""]
)
def test_nothing_else_is_there(server, providers, path):
    assert httpx.get(f"{server.base_url}/samples/{path}").status_code == 404
    assert not asked(providers)


def test_whoever_speaks_in_a_voice_s_place_leaves_no_sample_of_it(providers):
    with loopback_qiniu() as qiniu:
        chain = {"TTS_PROVIDERS": "openai,qiniu", "QINIU_API_KEY": "loopback-key"}
        settings = speaking(providers, QINIU_BASE_URL=qiniu.base_url, **chain)
        with start_server(settings) as server:
            url = urls(server)["echo"]
            providers.script("speech", status=503)
            assert httpx.get(url, timeout=30).status_code == 503
            assert qiniu.log()["counts"]["speech"]["finished"] == 1
            assert not list(server.data_dir.glob("media/samples/*"))


def test_a_voice_of_cosyvoice_and_openai_s_name_for_it_are_heard():
    with loopback_dashscope() as dashscope:
        settings = {k: v for k, v in dashscope.settings.items() if k.startswith("DASHSCOPE")}
        with start_server(settings) as server:
            samples = urls(server)
            assert len(samples) == 3 + 13 + 179
            assert samples["alloy"] == samples["longxiaochun_v2"]
            for voice in ("longanyang", "alloy", "longjiaxin_v3", "loongtomoka_v2"):
                answer = httpx.get(samples[voice], timeout=30)
                assert answer.status_code == 200, answer.text
                assert miniaudio.decode(answer.content).duration > 1
            client = Client.register(server.base_url)
            role = client.get(f"/api/role/{client.add_role(voice_type='alloy')}")
            assert (role["voice_type"], role["voice_in_use"]) == ("alloy", None)
            role = client.get(f"/api/role/{client.add_role(voice_type='kokoro_bm_george')}")
            assert role["voice_in_use"]["voice_type"] == "loongandy_v3"
        tasks = [record for record in dashscope.log()["records"] if record["kind"] == "tts"]
        spoken = [(task["model"], task["parameters"]["voice"]) for task in tasks]
        assert spoken == [
            ("cosyvoice-v3-flash", "longanyang"),
            ("cosyvoice-v2", "longxiaochun_v2"),
            ("cosyvoice-v3-flash", "longjiaxin_v3"),
            ("cosyvoice-v2", "loongtomoka_v2"),
        ]


def test_who_asks_for_many_that_are_not_there_has_to_wait(providers):
    providers.script("speech", status=400)
    with start_server(speaking(providers, RATE_LIMITS="on")) as server:
        url = urls(server)["alloy"]
        with httpx.Client() as client:
            statuses = [client.get(url).status_code for _ in range(30)]
            assert set(statuses) == {503}
            refused = client.get(url)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert len(asked(providers)) == 30
