"""Uploads over real sockets: the contract's bytes, floods, broken connections."""

import http.client
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.audio_samples import FORMATS, sample
from tests.platform import Client
from tests.processes import ServerProcess, start_server

pytestmark = pytest.mark.system
UPLOAD = "/api/upload_voice"
LIMIT = 10 * 2**20
FORM = "multipart/form-data; boundary=x"
TOO_LARGE = {"code": 413, "message": "请求内容过大", "data": None}


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def any_server(request):
    if request.param == "uvicorn":
        yield request.getfixturevalue("server")
        return
    with start_server(server="daphne") as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    return Client.register(server.base_url)


def form(data: bytes, name: str = "a.mp3") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--x--\r\n"


class Wire:
    """One HTTP connection, written byte by byte."""

    def __init__(self, client: Client, path: str = UPLOAD, **headers: str) -> None:
        address = urlsplit(client.base_url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        fields = {"Host": address.netloc, "Content-Type": FORM, **client.headers, **headers}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def answer(self) -> tuple[int, dict]:
        response = http.client.HTTPResponse(self.socket, method="POST")
        response.begin()
        return response.status, json.loads(response.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def written(server: ServerProcess) -> int:
    """Bytes that the process has written to files so far."""
    text = Path(f"/proc/{server.pid}/io").read_text()
    return int(re.search(r"wchar: (\d+)", text)[1])


def peak_memory(server: ServerProcess) -> int:
    text = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


def media_of(server: ServerProcess) -> set[str]:
    folder = server.data_dir / "media"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


# --- The contract ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_upload_and_download(any_server, name):
    client = Client.register(any_server.base_url)
    data = sample(name)
    _muxer, _codec, extension, mime = FORMATS[name]
    answer = client.request("POST", UPLOAD, files={"file": ("我的 录音.bin", data, "text/html")})
    assert answer.status_code == 200
    assert list(answer.json()) == ["message", "filename", "url"]
    assert answer.json()["message"] == "文件上传成功"
    assert answer.json()["filename"] == "我的 录音.bin"
    url = answer.json()["url"]
    assert re.fullmatch(rf"/uploads/[0-9a-f]{{32}}\.{extension}", url)
    assert url.removeprefix("/uploads/") in media_of(any_server)

    served = httpx.get(any_server.base_url + url)  # without credentials, as a player asks
    assert (served.status_code, served.content) == (200, data)
    assert served.headers["Content-Type"] == mime
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    part = httpx.get(any_server.base_url + url, headers={"Range": "bytes=0-1"})
    assert (part.status_code, part.content) == (206, data[:2])
    assert part.headers["Content-Range"] == f"bytes 0-1/{len(data)}"
    head = httpx.head(any_server.base_url + url)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(data)))


def test_errors_on_the_wire(any_server):
    client = Client.register(any_server.base_url)
    before = media_of(any_server)
    file = {"file": ("a.mp3", sample("mp3"))}
    stranger = httpx.post(any_server.base_url + UPLOAD, files=file)
    assert stranger.headers["WWW-Authenticate"].startswith("Bearer")
    answers = {
        401: stranger,
        400: client.request("POST", UPLOAD, files={"audio": file["file"]}),
        405: client.request("GET", UPLOAD),
        413: client.request("POST", UPLOAD, files={"file": ("a.mp3", bytes(LIMIT + 1))}),
        415: client.request("POST", UPLOAD, json={"file": "a.mp3"}),
        404: client.request("POST", UPLOAD + "/", files=file),
    }
    for code, answer in answers.items():
        assert answer.status_code == code
        assert answer.headers["Content-Type"] == "application/json"
        assert set(answer.json()) == {"code", "message", "data"}
        assert (answer.json()["code"], answer.json()["data"]) == (code, None)
    assert answers[401].json()["message"] == "用户未认证"
    assert answers[400].json()["message"] == "参数错误: 缺少文件字段 file"
    assert media_of(any_server) == before


def test_paths_that_climb(server):
    address = urlsplit(server.base_url)
    for path in (
        "/uploads/../liyuan.sqlite3",
        "/uploads/%2e%2e/secret_key",
        "/uploads/..%2f..%2fsecret_key",
        "/uploads//etc/passwd",
        "/uploads/",
    ):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        connection.request("GET", path)  # httpx would tidy the path
        answer = connection.getresponse()
        assert answer.status == 404, path
        assert b"<" not in answer.read()
        connection.close()


# --- Floods ---------------------------------------------------------------------------------


def test_two_gigabytes_are_refused_at_the_header(client, server):
    before = written(server)
    with Wire(client, **{"Content-Length": str(2 * 2**30)}) as wire:
        begun = time.monotonic()
        assert wire.answer() == (413, TOO_LARGE)
        assert time.monotonic() - begun < 5
    assert written(server) - before < 2**20


def test_who_sends_on_reads_the_answer_and_fills_nothing(client, server):
    """200 MB that the server takes in and drops: neither disk nor memory sees them."""
    size, block = 200 * 2**20, bytes(2**20)
    disk, memory = written(server), peak_memory(server)
    with Wire(client, **{"Content-Length": str(size)}) as wire:
        for _ in range(size // len(block)):
            wire.socket.sendall(block)
        assert wire.answer() == (413, TOO_LARGE)
    assert written(server) - disk < 2**20
    assert peak_memory(server) - memory < 64 * 2**20


def test_an_endless_chunked_body(client, server):
    disk = written(server)
    block = b"100000\r\n" + bytes(2**20) + b"\r\n"
    sent = 0
    with Wire(client, **{"Transfer-Encoding": "chunked"}) as wire:
        wire.socket.settimeout(0.2)
        while sent < 100:
            wire.socket.settimeout(30)
            wire.socket.sendall(block)
            sent += 1
            wire.socket.settimeout(0.02)
            try:
                if wire.socket.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        wire.socket.settimeout(30)
        assert wire.answer() == (413, TOO_LARGE)
    assert sent < 40
    assert written(server) - disk < 2**20


def test_a_chunked_upload_is_an_upload(client, server):
    data = form(sample("ogg"), "live.ogg")

    def pieces():
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]

    answer = client.request("POST", UPLOAD, content=pieces(), headers={"Content-Type": FORM})
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == "live.ogg"


def test_expect_continue(client, server):
    """A careful client asks first, and never sends what would be refused."""
    with Wire(client, **{"Content-Length": str(LIMIT * 3), "Expect": "100-continue"}) as wire:
        first = wire.socket.recv(12, socket.MSG_PEEK)
        assert first == b"HTTP/1.1 413"
    body = form(sample("mp3"))
    with Wire(client, **{"Content-Length": str(len(body)), "Expect": "100-continue"}) as wire:
        assert wire.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        wire.socket.sendall(body)
        assert wire.answer()[0] == 200


def test_the_largest_file_that_is_taken(client, server):
    """A wav may end in padding, so a file of exactly UPLOAD_MAX_BYTES can be made."""
    for size, code in ((LIMIT, 200), (LIMIT + 1, 413)):
        data = sample("wav").ljust(size, b"\0")
        answer = client.request("POST", UPLOAD, files={"file": ("a.wav", data)})
        assert answer.status_code == code, answer.text


@pytest.mark.parametrize("path", ["/api/role/add", "/api/auth/login"])
def test_other_bodies_have_a_limit_too(client, server, path):
    body = json.dumps({"name": "n" * 2 * 2**20})
    answer = client.request("POST", path, content=body)
    assert (answer.status_code, answer.json()) == (413, TOO_LARGE)


def test_the_refusal_in_english(client, server):
    headers = {"Content-Length": str(2 * 2**30), "Accept-Language": "en-GB,en;q=0.9"}
    with Wire(client, **headers) as wire:
        status, body = wire.answer()
    assert (status, body["code"], body["data"]) == (413, 413, None)
    assert body["message"].isascii()


# --- Many, and broken off -------------------------------------------------------------------


def test_many_at_once(client, server):
    names = list(FORMATS) * 4

    def one(name):
        begun = time.monotonic()
        url = client.upload(sample(name), f"{name}.bin")
        return name, url, time.monotonic() - begun

    for name in FORMATS:
        sample(name)
    with ThreadPoolExecutor(14) as threads:
        done = list(threads.map(one, names))
    assert len({url for _, url, _ in done}) == len(names)
    for name, url, _ in done:
        assert httpx.get(server.base_url + url).content == sample(name)


def test_a_client_that_goes_away(client, server):
    before = media_of(server)
    body = form(sample("wav"))
    for cut in (0, 100, len(body) // 2, len(body) - 1):
        with Wire(client, **{"Content-Length": str(len(body))}) as wire:
            wire.socket.sendall(body[:cut])
    with Wire(client, **{"Transfer-Encoding": "chunked"}) as wire:
        wire.socket.sendall(b"3e8\r\n" + body[:1000] + b"\r\n")
    assert client.upload(sample("mp3"))
    assert len(media_of(server) - before) == 1
    assert "Traceback" not in server.log()


def test_a_listener_that_goes_away(client, server):
    """The rest of a file is not sent to nobody, and no file stays open."""
    url = client.upload(sample("wav", 50.0))
    address = urlsplit(server.base_url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as listener:
            listener.sendall(f"GET {url} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            assert listener.recv(2000).startswith(b"HTTP/1.1 200")
    until = time.monotonic() + 10

    def still_open():
        folder = Path(f"/proc/{server.pid}/fd")
        links = []
        for link in folder.iterdir():
            try:
                links.append(str(link.readlink()))
            except FileNotFoundError:
                continue
        return [link for link in links if link.endswith(url.removeprefix("/uploads/"))]

    while still_open() and time.monotonic() < until:
        time.sleep(0.1)
    assert still_open() == []
    assert httpx.get(server.base_url + url).status_code == 200
