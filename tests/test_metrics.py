"""``/metrics`` of an embedded server: who may ask, and whether it adds up."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.audio_samples import sample
from tests.metrics import Figures, figures_when, scrape
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ROOT, ServerProcess, environment, manage, start, start_server
from tests.realtime.client import call as realtime_call
from tests.test_ws_contract import REPLY, call, text
from voice.apology import sentence

pytestmark = pytest.mark.system

TOKEN = "a-scraper-s-token-of-some-length"
SAID_TWICE = "欲穷千里目，更上一层楼。"
DASHBOARD = json.loads((ROOT / "docker/grafana/liyuan.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(scope="module")
def platform(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with start_server(providers.settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(platform: ServerProcess) -> Client:
    return Client.register(platform.base_url)


@pytest.fixture(scope="module")
def mixed(platform: ServerProcess, client: Client, providers: ProviderProcess) -> Figures:
    """What stands there after turns that went well, failed and were cut off."""
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text="今夜会有东风吗")
    role = client.role("诸葛亮")
    for forged in ("x", "a.b.c"):
        with pytest.raises(InvalidStatus), client.socket(Authorization=f"Bearer {forged}"):
            pass
    url = client.upload(sample("mp3", seconds=2.0))
    assert httpx.get(f"{platform.base_url}/static/js/i18n.js").status_code == 200
    with client.socket() as socket:
        for _ in range(3):
            assert socket.ask(text(role))["message"] == REPLY
        providers.script("chat", {"status": 429, "retry_after": "0"})
        assert socket.ask(text(role))["message"] == REPLY
        assert socket.ask(text(role, response_type=1))["type"] == "voice"
        # Other words, should what was spoken once be kept.
        providers.script("chat", text="风起于青萍之末。大江东去，浪淘尽千古风流人物。")
        providers.script("speech", {"status": 503})
        assert socket.ask(text(role, response_type=1))["type"] == "voice"
        providers.script("chat", text=REPLY * 20, pace={"tokens_per_second": 30})
        for number in range(2):
            socket.send(text(role, id=f"cut{number}", stream=True))
            assert socket.receive()["type"] == "delta"
            socket.send({"type": "cancel", "id": f"cut{number}"})
            assert socket.until_final()[-1]["status"] == "cancelled"
        providers.script("chat", text=REPLY)
    providers.script("chat", text="东风不与周郎便，铜雀春深锁二乔。")
    with client.socket("/api/ws/voice_chat") as socket:
        socket.send(call(role, url))
        assert "error" not in socket.until_final()[-1]
    said = {"model": "tts-1", "voice": "alloy", "input": SAID_TWICE}
    before = scrape(platform.base_url).total("liyuan_speech_cache_bytes_total")
    assert client.request("POST", "/v1/audio/speech", json=said).status_code == 200
    figures_when(
        platform.base_url,
        lambda now: now.total("liyuan_speech_cache_bytes_total") > before,
    )
    assert client.request("POST", "/v1/audio/speech", json=said).status_code == 200
    # Last, as a provider that refuses is passed over for a while.
    with client.socket() as socket:
        providers.script("chat", {"status": 401})
        assert "error" in socket.ask(text(role))
    return figures_when(
        platform.base_url,
        lambda now: now.total("liyuan_turns_total") == 10 and now.total("liyuan_sockets_open") == 0,
    )


def test_every_request_that_a_provider_saw_is_counted_with_its_end(mixed, providers):
    counts = providers.log()["counts"]
    for capability, endpoint in (("llm", "chat"), ("asr", "transcriptions"), ("tts", "speech")):
        seen = Counter(counts[endpoint])
        ends = mixed.by("liyuan_provider_requests_total", "outcome", capability=capability)
        assert sum(ends.values()) == seen["started"], endpoint
        assert ends.pop("cancelled", 0) == seen["cancelled"]
        assert sum(ends.values()) == seen["finished"]
    of_models = mixed.by("liyuan_provider_requests_total", "outcome", capability="llm")
    assert of_models == {"ok": 7, "rate_limited": 1, "auth": 1, "cancelled": 2}
    of_voices = mixed.by("liyuan_provider_requests_total", "outcome", capability="tts")
    assert of_voices.keys() == {"ok", "unavailable"}
    assert of_voices["unavailable"] == 1
    assert mixed.by("liyuan_provider_requests_total", "provider").keys() == {"openai"}


def test_a_provider_that_refused_the_key_is_passed_over(mixed):
    states = mixed.by("liyuan_provider_breaker", "capability", provider="openai")
    assert states == {"llm": 2}


def test_times_are_taken_of_every_answer(mixed):
    for capability in ("llm", "asr", "tts"):
        ends = mixed.by("liyuan_provider_requests_total", "outcome", capability=capability)
        first = mixed.total("liyuan_provider_first_seconds_count", capability=capability)
        whole = mixed.total("liyuan_provider_seconds_count", capability=capability)
        assert whole == ends["ok"]
        assert first == ends["ok"] + ends.get("cancelled", 0)  # each was cut off while it spoke
        sums = (
            mixed.total(f"liyuan_provider_{name}_sum", capability=capability)
            for name in ("first_seconds", "seconds")
        )
        assert all(0 < seconds < 60 for seconds in sums)


def test_amounts_are_those_that_the_provider_was_sent(mixed, providers):
    exchanges = providers.log()["exchanges"]
    inputs = [e["body"]["input"] for e in exchanges if e["endpoint"] == "speech"]
    # The one that was refused was sent again.
    spoken = sum(map(len, inputs)) - len(inputs[refused(inputs)])
    assert mixed.total("liyuan_provider_units_total", unit="characters") == spoken
    assert mixed.total("liyuan_provider_units_total", unit="seconds") == pytest.approx(2, abs=0.1)
    tokens = mixed.by("liyuan_provider_units_total", "unit", provider="openai")
    assert tokens["prompt_tokens"] > tokens["completion_tokens"] > 4 * len(REPLY)


def test_what_was_kept_was_not_asked_for_again(mixed, providers):
    lookups = mixed.by("liyuan_speech_cache_lookups_total", "outcome")
    assert lookups["hit"] == 1
    assert mixed.total("liyuan_speech_cache_bytes_total") > 1000
    exchanges = providers.log()["exchanges"]
    inputs = [e["body"]["input"] for e in exchanges if e["endpoint"] == "speech"]
    assert inputs.count(SAID_TWICE) == 1


def refused(inputs: list[str]) -> int:
    """The position of the text that was sent again, behind the one that is made beside it."""
    return next(n for n, text_ in enumerate(inputs) if text_ in inputs[n + 1 : n + 3])


def test_the_ledger_has_the_same_amounts(mixed, client, providers):
    usage = client.get("/api/usage")
    # A voice's apology is made once, for the day when it is needed, and is no user's.
    exchanges = providers.log()["exchanges"]
    inputs = [e["body"]["input"] for e in exchanges if e["endpoint"] == "speech"]
    apologies = sum(len(text_) for text_ in inputs if text_ == sentence("zh"))
    for unit in ("characters", "seconds", "prompt_tokens", "completion_tokens"):
        counted = mixed.total("liyuan_provider_units_total", unit=unit)
        own = apologies if unit == "characters" else 0
        assert usage["amounts"][unit] == pytest.approx(counted - own), unit


def test_turns_by_channel_and_end(mixed):
    assert mixed.by("liyuan_turns_total", "outcome", channel="chat") == {
        "completed": 6,
        "cancelled": 2,
        "failed": 1,
    }
    assert mixed.by("liyuan_turns_total", "outcome", channel="voice_chat") == {"completed": 1}
    assert mixed.total("liyuan_turn_failures_total", stage="llm", reason="auth") == 1
    assert mixed.total("liyuan_turn_failures_total") == 1
    assert mixed.total("liyuan_turns_running") == 0
    assert mixed.total("liyuan_turn_queue_seconds_count") == 10
    assert 0 < mixed.total("liyuan_turn_queue_seconds_sum") < 60
    stages = mixed.by("liyuan_turn_stage_seconds_count", "stage")
    assert stages["context"] == 10
    assert stages["first_text"] == 9
    assert stages["first_audio"] == 3
    assert stages["asr"] == 1
    assert stages["end"] == 7


def test_sockets_by_channel_and_refusal(mixed):
    opened = mixed.by("liyuan_socket_handshakes_total", "channel", status="101")
    assert opened == {"chat": 2, "voice_chat": 1}
    assert mixed.total("liyuan_socket_handshakes_total", status="401") == 2
    assert mixed.total("liyuan_socket_session_seconds_count") == 3


def test_requests_by_route_and_never_by_path(mixed, platform, client):
    before = mixed.by("liyuan_http_requests_total", "route")
    assert before["/api/upload_voice"] == 1
    for role in (999_001, 999_002, 999_003):
        client.request("GET", f"/api/role/{role}")
    for path in ("/nothing", "/nothing/else", "/static/js/i18n.js", "/admin/login/"):
        httpx.get(platform.base_url + path)
    httpx.request("PROPFIND", f"{platform.base_url}/api/health")
    httpx.post(f"{platform.base_url}/api/auth/login", content=b"x" * 2**21)
    now = scrape(platform.base_url)
    routes = now.by("liyuan_http_requests_total", "route")
    assert not [route for route in routes if re.search(r"999|nothing|i18n|login/", route)]
    assert routes["unmatched"] - before.get("unmatched", 0) == 3  # the body of 2 MB as well
    assert routes["/static/"] - before.get("/static/", 0) == 1
    assert routes["/admin/"] == 1
    by_id = [count for route, count in routes.items() if route.startswith("/api/role/<")]
    assert sum(by_id) == 3
    assert now.total("liyuan_http_requests_total", method="other") == 1
    assert now.total("liyuan_http_requests_total", status="413") == 1
    assert now.total("liyuan_http_requests_active") == 1  # this one
    timed = now.by("liyuan_http_request_seconds_count", "route")
    assert timed["/static/"] == routes["/static/"]
    streamed = now.by("liyuan_http_first_byte_seconds_count", "route")
    assert "/static/" in streamed
    assert "/api/auth/register" not in streamed


def test_both_event_loops_are_watched(mixed):
    lag = mixed.by("liyuan_event_loop_lag_seconds_count", "loop")
    assert lag.keys() == {"web", "turns"}


def test_the_process_says_what_it_is(mixed):
    (info,) = [labels for name, labels, _ in mixed.samples if name == "liyuan_process_info"]
    assert (info["kind"], info["mode"]) == ("web", "embedded")
    assert re.fullmatch(r"\d+\.\d+\.\d+", info["version"])
    assert mixed.total("liyuan_metrics_complete") == 1
    assert mixed.total("process_resident_memory_bytes", kind="web") > 2**20


def test_labels_hold_nothing_of_a_person(mixed, client, providers):
    labels = json.dumps([found for _name, found, _value in mixed.samples], ensure_ascii=False)
    for private in (client.username, client.access, "诸葛亮", providers.base_url, "loopback-key"):
        assert private not in labels


@pytest.fixture(scope="module")
def with_dashscope(providers: ProviderProcess) -> Iterator[tuple[Figures, dict[str, Any]]]:
    """The figures of another platform, whose voices come from DashScope, and its log."""
    providers.script("chat", text=REPLY)
    command = [sys.executable, "-m", "tests.servers.dashscope"]
    with start("dashscope", command, environment({})) as process:
        process.wait_for(lambda: process.log().startswith("{"))
        told = json.loads(process.log().splitlines()[0])
        values = {
            **providers.settings,
            "TTS_PROVIDERS": "dashscope,openai",
            "DASHSCOPE_API_KEY": "sk-loopback",
            "DASHSCOPE_WEBSOCKET_BASE_URL": told["websocket_url"],
            "DASHSCOPE_HTTP_BASE_URL": told["http_url"],
        }
        with start_server(values) as running:
            client = Client.register(running.base_url)
            role = client.role("诸葛亮")
            with client.socket() as socket:
                for line in ("滚滚长江东逝水。", "浪花淘尽英雄。", "是非成败转头空。"):
                    providers.script("chat", text=line)
                    assert socket.ask(text(role, response_type=1))["type"] == "voice"
                providers.script("chat", text="青山依旧在，几度夕阳红。")
                refusal = {"fault": "fail_start", "code": "Throttling.RateQuota"}
                order = {"kind": "tts", "next": [refusal]}
                httpx.post(f"{told['url']}/control/script", json=order).raise_for_status()
                assert socket.ask(text(role, response_type=1))["type"] == "voice"
            with realtime_call(running.ws_url, key=client.access) as line:
                line.ask("东风何在？", output_modalities=["text"])
                line.send("no.such.event")
                line.until("error")
            figures = figures_when(
                running.base_url, lambda now: now.total("liyuan_turns_total") == 4
            )
            yield figures, httpx.get(f"{told['url']}/control/log").json()


def test_connections_and_tasks_are_those_that_dashscope_saw(with_dashscope):
    figures, log = with_dashscope
    seen = log["counts"]["tts"]
    tasks = figures.by("liyuan_provider_tasks_total", "outcome", use="tts")
    assert tasks == {"finished": seen["finished"], "rate": seen["failed"]}
    assert sum(tasks.values()) == seen["started"]
    # The refused task was taken up again within its request.
    requests = figures.by("liyuan_provider_requests_total", "outcome", provider="dashscope")
    assert requests == {"ok": seen["finished"]}
    of_tts = figures.by("liyuan_provider_connection_events_total", "event", use="tts")
    assert of_tts["failed"] == seen["failed"] == 1
    opened = figures.total("liyuan_provider_connection_events_total", event="opened")
    assert opened == log["connections"]["opened"]
    # A task takes a connection that is opened or reused. Besides, each loop that speaks opens
    # one to have it at hand: that of the turns, and that of the server, where calls are made.
    assert seen["started"] <= of_tts["opened"] + of_tts["reused"] <= seen["started"] + 2
    assert figures.total("liyuan_provider_connections") == log["connections"]["open"]


def test_the_document_lists_every_one_with_its_labels(mixed, with_dashscope):
    text_ = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(liyuan_\w+)` \|([^|]*)\|", text_, re.MULTILINE)
    documented = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    found: dict[str, set[str]] = {}
    for name, labels, _value in mixed.samples + with_dashscope[0].samples:
        if name.startswith("liyuan_"):
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            own = labels.keys() - {"kind", "process", "le"}
            found[family] = found.get(family, set()) | own
    unseen = {"liyuan_provider_limited_total": {"capability", "provider"}}
    assert documented == found | unseen


def test_the_dashboard_asks_for_what_there_is(mixed, with_dashscope):
    expressions = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
    ]
    asked = set(re.findall(r"\b(?:liyuan|process|python)_\w+", " ".join(expressions)))
    assert len(asked) > 20
    assert asked <= mixed.names | with_dashscope[0].names


def test_the_dashboard_asks_for_labels_that_there_are(mixed, with_dashscope):
    known: dict[str, set[str]] = {}
    for name, labels, _value in mixed.samples + with_dashscope[0].samples:
        known[name] = known.get(name, set()) | labels.keys()
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            (name, *_more) = re.findall(r"\b(?:liyuan|process)_\w+", target["expr"])
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            filtered = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", target["expr"])
            shown = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            used = {label.strip() for group in grouped for label in group.split(",")}
            assert used | set(filtered) | set(shown) <= known[name], target["expr"]


# --- who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Host": "attacker.example"},
    ],
    ids=str,
)
def test_without_a_token_what_came_by_a_detour_finds_nothing(platform, headers):
    answer = httpx.get(f"{platform.base_url}/metrics", headers=headers)
    assert (answer.status_code, answer.text) == (404, "not found\n")


def test_it_can_only_be_read(platform):
    assert httpx.post(f"{platform.base_url}/metrics").status_code == 405
    head = httpx.head(f"{platform.base_url}/metrics")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("server_name", ["uvicorn", "daphne"])
def test_with_a_token_the_token_decides(server_name):
    values = {"METRICS_TOKEN": TOKEN, "PUBLIC_BASE_URL": "https://liyuan.example"}
    with start_server(values, server=server_name) as running:
        url = f"{running.base_url}/metrics"
        for headers in (
            {},
            {"Authorization": "Bearer forged"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer"},
        ):
            answer = httpx.get(url, headers=headers)
            assert (answer.status_code, answer.text) == (401, "unauthorized\n")
            assert answer.headers["www-authenticate"] == "Bearer"
        # By the name that a container network has for it, and through a proxy.
        right = {"Authorization": f"Bearer {TOKEN}", "Host": "web:8000", "X-Real-IP": "9.9.9.9"}
        assert httpx.get(url, headers=right).status_code == 200
        figures = scrape(running.base_url, TOKEN)
        assert figures.total("liyuan_event_loop_lag_seconds_count", loop="web") >= 0
        assert figures.total("liyuan_process_info") == 1
        assert TOKEN not in running.log()


def test_only_from_the_networks_that_are_named():
    with start_server({"METRICS_NETWORKS": "10.0.0.0/8"}) as running:
        assert httpx.get(f"{running.base_url}/metrics").status_code == 404


@pytest.mark.parametrize(
    ("name", "value"), [("METRICS_NETWORKS", "10.0.0.0/99"), ("METRICS_TOKEN", "short")]
)
def test_wrong_settings_stop_the_start(name, value):
    with pytest.raises(AssertionError, match=name):
        manage("check", env=environment({name: value}))
