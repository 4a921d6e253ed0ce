"""``/api/ws/chat`` and ``/api/ws/voice_chat`` over real sockets, line by line of the contract."""

import base64
import io
import re
import threading
from collections.abc import Iterator

import av
import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.audio_samples import sample
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server

pytestmark = pytest.mark.system

CHAT, CALL = "/api/ws/chat", "/api/ws/voice_chat"
REPLY = "亮在此，主公有何吩咐？今夜必有东风。"


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(providers: ProviderProcess, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    env = {**providers.settings, "SOCKET_IDLE_SECONDS": "2"}
    with start_server(env, server=request.param) as process:
        yield process


def assert_refused(error: pytest.ExceptionInfo[InvalidStatus], server, status: int) -> None:
    """daphne refuses a handshake with an empty 403, whatever the application says."""
    response = error.value.response
    if server.name == "daphne":
        assert response.status_code == 403
    else:
        assert response.status_code == status
        assert f'"code": {status}' in response.body.decode()


@pytest.fixture
def client(server: ServerProcess, providers: ProviderProcess) -> Client:
    providers.reset()
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text="今夜会有东风吗")
    return Client.register(server.base_url)


@pytest.fixture
def role(client: Client) -> int:
    return client.role("诸葛亮")


def text(role: int, message: str = "你好，诸葛亮", **more):
    return {"role_id": role, "message": message, "type": "text", "response_type": 0, **more}


def speech(role: int, url: str, **more):
    fields = {"message": url, "type": "voice", "format": "mp3", "response_type": 0, **more}
    return {"role_id": role, **fields}


def call(role: int, url: str, **more):
    return {"role_id": role, "voice_url": url, "format": "mp3", **more}


def seconds_of(mp3: bytes) -> float:
    """Decodes all of it; raises where it is not one playable MP3."""
    with av.open(io.BytesIO(mp3), format="mp3") as container:
        frames = list(container.decode(audio=0))
    return sum(frame.samples / frame.sample_rate for frame in frames)


def joined(messages) -> bytes:
    return b"".join(base64.b64decode(m["data"]) for m in messages if m["type"] == "audio")


# --- handshake


@pytest.mark.parametrize("path", [CHAT, CALL])
def test_without_credentials_the_handshake_is_refused_with_401(server, path):
    with pytest.raises(InvalidStatus) as error, connect(server.ws_url + path):
        pass
    assert_refused(error, server, 401)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ü"])
def test_a_bad_token_is_refused(server, token):
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    with (
        pytest.raises(InvalidStatus) as error,
        connect(server.ws_url + CHAT, additional_headers=headers),
    ):
        pass
    assert_refused(error, server, 401)


def test_a_revoked_token_is_refused(server, client):
    client.request("POST", "/api/auth/logout", json={"refresh": client.refresh})
    with pytest.raises(InvalidStatus), client.socket():
        pass


def test_a_refresh_token_opens_no_socket(server, client):
    headers = {"Authorization": f"Bearer {client.refresh}"}
    with pytest.raises(InvalidStatus), connect(server.ws_url + CHAT, additional_headers=headers):
        pass


def test_the_subprotocol_pair_of_browsers(server, client):
    with connect(server.ws_url + CHAT, subprotocols=["bearer", client.access]) as socket:
        assert socket.subprotocol == "bearer"


def test_a_ticket_opens_one_socket_once(server, client):
    data = client.request("POST", "/api/auth/ws-ticket").json()["data"]
    url = f"{server.ws_url}{CHAT}?ticket={data['ticket']}"
    with connect(url):
        pass
    with pytest.raises(InvalidStatus) as error, connect(url):
        pass
    assert_refused(error, server, 401)
    assert data["ticket"] not in server.log()


def test_an_unknown_path_is_refused(server, client):
    with pytest.raises(InvalidStatus), client.socket("/api/ws/nothing"):
        pass


# --- /api/ws/chat: the contract's own messages


def test_a_text_reply(client, role):
    with client.socket() as socket:
        assert socket.ask(text(role)) == {"role_id": role, "message": REPLY, "type": "text"}


def test_a_voice_reply_is_the_url_of_a_stored_mp3(client, role, server):
    with client.socket() as socket:
        reply = socket.ask(text(role, response_type=1))
    assert set(reply) == {"role_id", "message", "type", "format"}
    assert (reply["type"], reply["format"], reply["role_id"]) == ("voice", "mp3", role)
    assert re.fullmatch(re.escape(server.base_url) + r"/uploads/\w+\.mp3", reply["message"])
    audio = httpx.get(reply["message"])
    assert audio.headers["content-type"] == "audio/mpeg"
    assert seconds_of(audio.content) > 0.5


def test_chance_picks_text_or_voice(client, role):
    with client.socket() as socket:
        kinds = [socket.ask(text(role, response_type=2))["type"] for _ in range(14)]
    assert set(kinds) == {"text", "voice"}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_spoken_question(client, role, server, providers, absolute):
    url = client.upload(sample("mp3"))
    with client.socket() as socket:
        message = speech(role, (server.base_url if absolute else "") + url)
        assert socket.ask(message) == {"role_id": role, "message": REPLY, "type": "text"}
    asked = providers.log()["exchanges"][-1]
    assert asked["endpoint"] == "chat"
    last = client.get("/api/conversations")["list"][0]
    said = client.get(f"/api/conversations/{last['id']}/messages")["list"][-2]
    assert (said["type"], said["text"], said["audio_url"]) == ("voice", "今夜会有东风吗", url)


@pytest.mark.parametrize("response_type", [0, 1, 2])
def test_a_spoken_question_with_each_response_type(client, role, response_type):
    url = client.upload(sample("webm"), "q.webm")
    with client.socket() as socket:
        reply = socket.ask(speech(role, url, format="webm", response_type=response_type))
    wanted = {0: {"text"}, 1: {"voice"}, 2: {"text", "voice"}}[response_type]
    assert reply["type"] in wanted


# --- errors, and a socket that stays open


def bad_messages(role: int):
    good = text(role)
    for name in ("role_id", "message", "type", "response_type"):
        yield {k: v for k, v in good.items() if k != name}, 400
        yield {**good, name: None}, 400
        yield {**good, name: []}, 400
        yield {**good, name: "\x00"}, 400
    yield {**good, "message": ""}, 400
    yield {**good, "message": "字" * 8001}, 413
    yield {**good, "response_type": 3}, 400
    yield {**good, "role_id": 10**12}, 404
    yield {**good, "conversation_id": 10**12}, 404
    yield speech(role, "/uploads/../../etc/passwd"), 404
    yield speech(role, f"/uploads/{'0' * 32}.mp3"), 404
    yield speech(role, "no url at all"), 400
    yield speech(role, "ftp://example.com/a.mp3"), 400
    yield speech(role, "x" * 2001), 413
    yield {k: v for k, v in speech(role, "/uploads/x.mp3").items() if k != "format"}, 400
    yield "not json", 400
    yield "[]", 400
    yield '"text"', 400
    yield "x" * 2_000_000, 413


def test_every_bad_message_gets_an_error_and_changes_nothing(client, role):
    with client.socket() as socket:
        for message, code in bad_messages(role):
            error = socket.ask(message)
            assert set(error) == {"error", "code"}, message
            assert error["code"] == code, (str(message)[:80], error)
            assert error["error"]
        socket.connection.send(b"\x00\x01binary")
        assert socket.receive()["code"] == 400
        assert socket.ask(text(role))["type"] == "text"
    messages = client.get("/api/conversations")["list"][0]["message_count"]
    # The greeting, what was said at last, its reply; and the two that named a bad URL.
    assert messages == 5


PRIVATE = [
    "http://127.0.0.1/a.mp3",
    "http://[::1]/a.mp3",
    "http://10.1.2.3/a.mp3",
    "http://169.254.169.254/latest/meta-data",
    "http://2130706433/a.mp3",
    "http://[::ffff:127.0.0.1]/a.mp3",
    "http://localhost/a.mp3",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_never_fetched(client, role, url):
    with client.socket() as socket:
        error = socket.ask(speech(role, url))
        assert error["code"] in (400, 502)
    with client.socket(CALL) as socket:
        error = socket.ask(call(role, url))
        assert error["type"] == "error"


def test_anothers_upload_is_not_found(client, role, server):
    url = Client.register(server.base_url).upload(sample("mp3"))
    with client.socket() as socket:
        assert socket.ask(speech(role, url))["code"] == 404


def test_errors_speak_the_clients_language(client):
    with client.socket() as socket:
        assert "角色不存在" in socket.ask(text(10**12))["error"]
    with client.socket(**{"Accept-Language": "en-GB,en;q=0.8"}) as socket:
        assert socket.ask(text(10**12))["error"].isascii()


@pytest.mark.parametrize(
    ("endpoint", "behaviour", "code"),
    [
        ("chat", {"status": 401}, 502),
        ("chat", {"status": 429}, 429),
        ("chat", {"status": 503}, 502),
        ("chat", {"fault": "drop_before"}, 502),
        ("chat", {"fault": "drop_middle"}, 502),
        ("speech", {"status": 500}, 502),
        ("speech", {"fault": "drop_middle"}, 502),
        ("transcriptions", {"status": 500}, 502),
        ("transcriptions", {"text": ""}, 400),
    ],
    ids=str,
)
def test_a_failing_provider_is_a_clear_error(client, role, providers, endpoint, behaviour, code):
    providers.script(endpoint, **behaviour)
    url = client.upload(sample("mp3"))
    with client.socket() as socket:
        error = socket.ask(speech(role, url, response_type=1), timeout=60)
        assert error["code"] == code, error
        providers.reset()
        providers.script("chat", text=REPLY)
        assert socket.ask(text(role))["type"] == "text"


# --- extensions


def test_a_stream_joins_to_the_reply(client, role):
    with client.socket() as socket:
        socket.send(text(role, id="a1", stream=True))
        messages = socket.until_final()
    assert all(message["id"] == "a1" for message in messages)
    deltas = [m["message"] for m in messages if m["type"] == "delta"]
    assert "".join(deltas) == REPLY
    final = messages[-1]
    assert final["message"] == final["text"] == REPLY
    stored = client.get(f"/api/conversations/{final['conversation_id']}/messages")["list"][-1]
    assert (stored["id"], stored["text"]) == (final["message_id"], REPLY)


def test_a_streamed_voice_reply_to_a_spoken_question(client, role):
    url = client.upload(sample("mp3"))
    with client.socket() as socket:
        socket.send(speech(role, url, id="v1", stream=True, response_type=1))
        messages = socket.until_final()
    assert messages[0]["type"] == "transcript"
    assert messages[0]["message"] == "今夜会有东风吗"
    audio = [m for m in messages if m["type"] == "audio"]
    assert [m["is_final"] for m in audio] == [False] * (len(audio) - 1) + [True]
    stored = httpx.get(messages[-1]["message"]).content
    assert joined(audio) == stored
    assert seconds_of(stored) > 0.5


def test_an_old_client_never_sees_extensions(client, role):
    with client.socket() as socket:
        socket.send(text(role, response_type=1))
        (message,) = socket.until_final()
        assert set(message) == {"role_id", "message", "type", "format"}


def test_a_resent_id_starts_nothing_new(client, role, providers):
    with client.socket() as socket:
        first = socket.ask(text(role, id="same"))
        assert socket.ask(text(role, id="same")) == first
    with client.socket() as socket:
        assert socket.ask(text(role, id="same")) == first
    assert providers.log()["counts"]["chat"]["started"] == 1


def test_a_turn_goes_on_without_its_socket(client, role, providers):
    providers.script("chat", text=REPLY, pace={"llm_first_ms": 600})
    with client.socket() as socket:
        socket.send(text(role, id="gone", stream=True))
    with client.socket() as socket:
        socket.send(text(role, id="gone", stream=True))
        messages = socket.until_final()
        assert "".join(m["message"] for m in messages if m["type"] == "delta") == REPLY
    assert providers.log()["counts"]["chat"]["started"] == 1


def test_cancel_stops_the_turn_and_the_provider(client, role, providers):
    providers.script("chat", text=REPLY * 20, pace={"tokens_per_second": 30})
    with client.socket() as socket:
        socket.send(text(role, id="long", stream=True))
        assert socket.receive()["type"] == "delta"
        socket.send({"type": "cancel", "id": "long"})
        messages = socket.until_final(5)
        final = messages[-1]
        assert final["status"] == "cancelled"
        assert (REPLY * 20).startswith(final["message"])
        assert 0 < len(final["message"]) < 200
        providers.script("chat", text=REPLY)
        assert socket.ask(text(role))["message"] == REPLY
    counts = providers.log()["counts"]["chat"]
    assert counts["cancelled"] == 1


def test_cancel_without_an_id_stops_the_running_turn(client, role, providers):
    providers.script("chat", text=REPLY, pace={"llm_first_ms": 5000})
    with client.socket() as socket:
        socket.send(text(role))
        assert socket.silent(0.5)
        socket.send({"type": "cancel"})
        assert socket.until_final(5)[-1]["status"] == "cancelled"


def test_cancel_of_nothing_is_an_error(client):
    with client.socket() as socket:
        assert socket.ask({"type": "cancel"})["code"] == 404


def test_messages_queue_in_order_up_to_eight(client, role, providers):
    providers.script("chat", text="好", pace={"llm_first_ms": 400})
    with client.socket() as socket:
        for number in range(10):
            socket.send(text(role, f"第{number}句", id=f"q{number}"))
        answers = [socket.receive(20) for _ in range(10)]
    refused = [answer for answer in answers if "error" in answer]
    assert [(answer["id"], answer["code"]) for answer in refused] == [("q9", 429)]
    assert [a["id"] for a in answers if "error" not in a] == [f"q{n}" for n in range(9)]
    conversation = client.get("/api/conversations")["list"][0]
    assert conversation["message_count"] == 1 + 9 * 2


def test_the_history_reaches_the_model(client, providers):
    role = client.add_role()
    with client.socket() as socket:
        socket.ask(text(role, "我叫小明"))
        socket.ask(text(role, "我叫什么？"))
    sent = [m["content"] for m in providers.log()["exchanges"][-1]["body"]["messages"]]
    assert sent[-3:] == ["我叫小明", REPLY, "我叫什么？"]


def test_one_users_words_never_reach_anothers_prompt(client, role, server, providers):
    other = Client.register(server.base_url)
    with client.socket() as mine, other.socket() as theirs:
        mine.ask(text(role, "我的秘密是甲"))
        theirs.ask(text(role, "你好"))
    assert "我的秘密是甲" not in str(providers.log()["exchanges"][-1]["body"])


def test_two_sockets_talk_at_once(client, role, providers):
    providers.script("chat", text=REPLY, pace={"llm_first_ms": 500})
    answers = []

    def talk() -> None:
        with client.socket() as socket:
            answers.append(socket.ask(text(role)))

    threads = [threading.Thread(target=talk) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6


# --- /api/ws/voice_chat


def test_a_call_answers_in_pieces_of_one_mp3(client, role):
    url = client.upload(sample("mp3"))
    with client.socket(CALL) as socket:
        socket.send(call(role, url))
        messages = socket.until_final()
        assert all(set(m) == {"type", "data", "format", "is_final"} for m in messages)
        assert all((m["type"], m["format"]) == ("audio", "mp3") for m in messages)
        assert [m["is_final"] for m in messages] == [False] * (len(messages) - 1) + [True]
        assert seconds_of(joined(messages)) > 0.5
        socket.send(call(role, url))
        assert seconds_of(joined(socket.until_final())) > 0.5


def test_the_first_piece_comes_before_synthesis_has_ended(client, role, providers):
    providers.script("speech", pace={"tts_first_ms": 50, "speech_rate": 2})
    url = client.upload(sample("mp3"))
    with client.socket(CALL) as socket:
        socket.send(call(role, url))
        assert not socket.receive()["is_final"]
        assert providers.log()["counts"]["speech"].get("finished", 0) == 0
        socket.until_final()


def test_errors_of_a_call(client, role, providers):
    url = client.upload(sample("mp3"))
    bad = [
        "no json",
        "{}",
        call(role, ""),
        call(10**12, url),
        call(role, f"/uploads/{'1' * 32}.mp3"),
        {"role_id": role, "voice_url": url},
        {"role_id": "x", "voice_url": url, "format": "mp3"},
    ]
    with client.socket(CALL) as socket:
        for message in bad:
            error = socket.ask(message)
            assert set(error) == {"type", "data", "format", "is_final"}
            assert (error["type"], error["format"], error["is_final"]) == ("error", "", True)
            assert error["data"]
        providers.script("transcriptions", {"text": ""})
        assert "没有听到" in socket.ask(call(role, url))["data"]
        providers.script("chat", {"status": 503}, {"status": 503}, {"status": 503})
        assert socket.ask(call(role, url))["type"] == "error"
        providers.reset()
        providers.script("transcriptions", text="你好")
        assert socket.ask(call(role, url))["type"] == "audio"


def test_a_streamed_call_has_captions(client, role):
    url = client.upload(sample("mp3"))
    with client.socket(CALL) as socket:
        socket.send(call(role, url, id="c1", stream=True))
        messages = socket.until_final()
    kinds = [m["type"] for m in messages]
    assert kinds[0] == "transcript"
    assert "".join(m["message"] for m in messages if m["type"] == "delta") == REPLY
    assert [m["is_final"] for m in messages].count(True) == 1
    assert messages[-1]["text"] == REPLY


def test_an_interrupted_call_keeps_what_was_heard(client, role, providers):
    providers.script("chat", text=REPLY * 6)
    providers.script("speech", pace={"tts_first_ms": 10, "speech_rate": 1.2})
    url = client.upload(sample("mp3"))
    with client.socket(CALL) as socket:
        socket.send(call(role, url, id="i1"))
        socket.receive()
        socket.send({"type": "cancel"})
        final = socket.until_final(5)[-1]
    assert (final["status"], final["is_final"]) == ("cancelled", True)
    assert len(final["text"]) < len(REPLY * 3)
    stored = client.get(f"/api/conversations/{final['conversation_id']}/messages")["list"]
    said = [m for m in stored if m["author"] == "assistant" and m["id"] == final["message_id"]]
    assert [m["text"] for m in said] == ([final["text"]] if final["text"] else [])


def test_an_idle_call_is_closed_with_a_reason(client, server):
    with client.socket(CALL) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.connection.recv(timeout=8)
    assert closed.value.rcvd.code == 1000
    assert closed.value.rcvd.reason or server.name == "daphne"  # which sends none


def test_an_idle_chat_stays_open(client, role):
    with client.socket() as socket:
        assert socket.silent(3)
        assert socket.ask(text(role))["type"] == "text"


def test_too_many_sockets_of_one_user_are_429(client, server):
    with pytest.raises(InvalidStatus) as error:
        open_more(client, 21)
    assert_refused(error, server, 429)


def open_more(client: Client, count: int) -> None:
    if count:
        with client.socket():
            open_more(client, count - 1)
