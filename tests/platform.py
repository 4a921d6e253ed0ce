"""A running platform as its clients see it: accounts, roles, uploads, sockets."""

import json
import ssl
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.processes import ManagedProcess, environment, start

PASSWORD = "pear-garden-77"


@dataclass
class ProviderProcess:
    """The loopback OpenAI server as a process, steered over HTTP."""

    process: ManagedProcess
    base_url: str

    @property
    def settings(self) -> dict[str, str]:
        """What makes a platform use it for everything."""
        return {
            f"{kind}_{name}": value
            for kind in ("LLM", "ASR", "TTS")
            for name, value in (
                ("BASE_URL", self.base_url),
                ("API_KEY", "loopback-key"),
                ("MODEL", "loopback"),
            )
        }

    def _control(self, path: str) -> str:
        return f"{self.base_url.removesuffix('/v1')}/control/{path}"

    def script(self, endpoint: str, *following: Mapping[str, Any], **always: Any) -> None:
        """Set the next answers, or (keywords) every answer; see ``Behaviour``."""
        order: dict[str, Any] = {"endpoint": endpoint, "next": list(following)}
        if always:
            order["always"] = always
        httpx.post(self._control("script"), json=order).raise_for_status()

    def reset(self) -> None:
        httpx.post(self._control("reset")).raise_for_status()

    def log(self) -> dict[str, Any]:
        return httpx.get(self._control("log")).json()


@contextmanager
def loopback_providers(
    module: str = "tests.servers.openai_api", **pace: float
) -> Iterator[ProviderProcess]:
    """The provider process of that module; keywords are the fields of ``Pace``."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in pace.items()]
    command = [sys.executable, "-m", module, *options]
    with start("providers", command, environment({})) as process:
        process.wait_for(lambda: "/v1" in process.log())
        url = next(line for line in process.log().splitlines() if line.endswith("/v1"))
        yield ProviderProcess(process, url)


@dataclass
class DashScopeProcess:
    """The loopback DashScope as a process, steered over HTTP; see its module.

    Attributes:
        websocket_url: Of the task protocol.
        http_url: Base of the native interface.
        compatible_url: Base of the OpenAI mode.
        ca_file: The authority of its certificate, where it serves TLS.
    """

    process: ManagedProcess
    url: str
    websocket_url: str
    http_url: str
    compatible_url: str
    ca_file: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """What makes a platform use it for everything."""
        return {
            "DASHSCOPE_API_KEY": "sk-loopback",
            "DASHSCOPE_WEBSOCKET_BASE_URL": self.websocket_url,
            "DASHSCOPE_HTTP_BASE_URL": self.http_url,
            "LLM_BASE_URL": self.compatible_url,
            "LLM_API_KEY": "sk-loopback",
            "LLM_MODEL": "qwen-plus",
        }

    def script(self, kind: str, *following: Mapping[str, Any], **always: Any) -> None:
        """Set what happens next, or (keywords) every time; see ``Behaviour``."""
        order: dict[str, Any] = {"kind": kind, "next": list(following)}
        if always:
            order["always"] = always
        self._request("POST", "script", json=order)

    def reset(self) -> None:
        self._request("POST", "reset")

    def log(self) -> dict[str, Any]:
        log: dict[str, Any] = self._request("GET", "log").json()
        return log

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        verify = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        answer = httpx.request(method, f"{self.url}/control/{path}", verify=verify, **options)
        return answer.raise_for_status()


@contextmanager
def loopback_dashscope(*, tls: bool = False, **pace: float) -> Iterator[DashScopeProcess]:
    """The process; keywords are the fields of its ``Pace``."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in pace.items()]
    options += ["--tls"] if tls else []
    command = [sys.executable, "-m", "tests.servers.dashscope", *options]
    with start("dashscope", command, environment({})) as process:
        process.wait_for(lambda: "\n" in process.log())
        yield DashScopeProcess(process, **json.loads(process.log().splitlines()[0]))


@dataclass
class Client:
    """One registered user of a platform."""

    base_url: str
    access: str
    refresh: str
    user_id: int
    username: str

    @classmethod
    def register(cls, base_url: str) -> "Client":
        name = f"u{uuid.uuid4().hex[:12]}"
        answer = httpx.post(
            f"{base_url}/api/auth/register",
            json={"username": name, "password": PASSWORD},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        return cls(base_url, data["access"], data["refresh"], data["user"]["id"], name)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return httpx.request(method, self.base_url + path, headers=headers, timeout=30, **options)

    def get(self, path: str, **options: Any) -> Any:
        """The envelope's data of a successful GET."""
        answer = self.request("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def role(self, name: str) -> int:
        """The id of a preset."""
        found = self.get("/api/role/list", params={"search": name})["list"]
        return next(role["id"] for role in found if role["name"] == name)

    def add_role(self, **changes: Any) -> int:
        fields = {
            "name": "冒险家",
            "description": "勇敢的冒险者，探索未知世界",
            "gender": "男",
            "age": 30,
            "voice_type": "qiniu_zh_male_wwxkjx",
            **changes,
        }
        answer = self.request("POST", "/api/role/add", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["role_id"]

    def upload(self, data: bytes, name: str = "voice.mp3") -> str:
        """The relative URL of a stored file."""
        answer = self.request("POST", "/api/upload_voice", files={"file": (name, data)})
        assert answer.status_code == 200, answer.text
        return answer.json()["url"]

    @contextmanager
    def socket(self, path: str = "/api/ws/chat", **headers: str) -> Iterator["Socket"]:
        url = self.base_url.replace("http", "ws", 1) + path
        with connect(
            url, additional_headers={**self.headers, **headers}, max_size=2**25
        ) as connection:
            yield Socket(connection)


@dataclass
class Socket:
    """JSON over one WebSocket, with time limits."""

    connection: ClientConnection

    def send(self, message: Any) -> None:
        self.connection.send(json.dumps(message) if not isinstance(message, str) else message)

    def receive(self, timeout: float = 20.0) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout))
        return message

    def until_final(self, timeout: float = 30.0) -> list[dict[str, Any]]:
        """All messages up to the final one of a turn, on either socket."""
        messages = []
        while True:
            message = self.receive(timeout)
            messages.append(message)
            if is_final(message):
                return messages

    def ask(self, message: Any, timeout: float = 30.0) -> dict[str, Any]:
        """Send, and the final answer."""
        self.send(message)
        return self.until_final(timeout)[-1]

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        try:
            self.connection.recv(timeout=seconds)
        except TimeoutError:
            return True
        return False


def is_final(message: Mapping[str, Any]) -> bool:
    """Whether a message ends its turn: on ``/api/ws/chat`` and on ``/api/ws/voice_chat``."""
    if "error" in message:
        return True
    kind = message["type"]
    if "role_id" in message:  # chat; captions of a call
        return kind in ("text", "voice")
    return bool(message["is_final"])
