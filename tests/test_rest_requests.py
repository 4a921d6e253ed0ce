"""A REST request is one piece of work in one thread, however many come at once."""

import asyncio
import threading

import asgiref.sync
import httpx
import pytest
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient
from django.urls import path


def where(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"thread": threading.current_thread().name})


urlpatterns = [path("api/where", where), path("where", where)]


@pytest.mark.urls(__name__)
async def test_a_rest_request_crosses_to_a_thread_once(monkeypatch):
    crossings = []
    real = asgiref.sync.SyncToAsync.__call__

    async def counted(self, *args, **kwargs):
        crossings.append(self.func.__qualname__)
        return await real(self, *args, **kwargs)

    client = AsyncClient()
    await client.get("/api/where")  # the chain is built by the first request
    monkeypatch.setattr(asgiref.sync.SyncToAsync, "__call__", counted)
    answer = await client.get("/api/where")
    assert answer.json()["thread"].startswith("rest")
    ours = [name for name in crossings if not name.startswith(("Signal.", "HttpResponseBase."))]
    assert ours == ["RestMiddleware._work"]


@pytest.mark.urls(__name__)
async def test_a_page_goes_through_django_s_whole_chain():
    answer = await AsyncClient().get("/where")
    assert not answer.json()["thread"].startswith("rest")


@pytest.mark.urls(__name__)
async def test_a_rest_answer_has_the_headers_of_the_chain():
    answer = await AsyncClient().get("/api/where")
    for name in ("x-content-type-options", "x-frame-options", "content-language", "x-request-id"):
        assert name in answer.headers
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "Accept-Language" in answer.headers["vary"]
    assert not answer.cookies


@pytest.mark.system
@pytest.mark.parametrize("language", ["zh-hans", "en"])
async def test_many_at_once_get_their_own_answer(server, language):
    """Users, languages and errors of requests that share threads do not mix."""
    message = {"zh-hans": "角色不存在", "en": "The character does not exist"}
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=server.base_url, limits=limits, timeout=60) as http:
        tokens = {}
        for number in range(4):
            name = f"many-{language}-{number}"
            body = {"username": name, "password": "pear-garden-9"}
            answer = await http.post("/api/auth/register", json=body)
            tokens[name] = answer.json()["data"]["access"]

        async def ask(number: int) -> None:
            name = f"many-{language}-{number % 4}"
            spoken = language if number % 3 else "en"
            headers = {"Authorization": f"Bearer {tokens[name]}", "Accept-Language": spoken}
            me = await http.get("/api/auth/me", headers=headers)
            assert me.json()["data"]["username"] == name
            missing = await http.get("/api/role/0", headers=headers)
            assert missing.json()["message"] == message[spoken]
            listed = await http.get("/api/role/list", headers=headers)
            assert listed.json()["code"] == 200

        await asyncio.gather(*(ask(number) for number in range(60)))


@pytest.mark.system
async def test_many_writers_at_once_all_succeed(server):
    async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as http:
        body = {"username": "writer", "password": "pear-garden-9"}
        session = (await http.post("/api/auth/register", json=body)).json()["data"]
        http.headers["Authorization"] = f"Bearer {session['access']}"
        role = {"description": "d" * 10, "gender": "女", "age": 1, "voice_type": "kokoro_af_sky"}

        async def add(number: int) -> int:
            answer = await http.post("/api/role/add", json={"name": f"角色{number}", **role})
            assert answer.status_code == 200, answer.text
            return int(answer.json()["data"]["role_id"])

        ids = await asyncio.gather(*(add(number) for number in range(40)))
        assert len(set(ids)) == 40
        page = await http.get("/api/role/list?mine=true&page_size=100")
        assert page.json()["data"]["total"] == 40
        assert {item["id"] for item in page.json()["data"]["list"]} == set(ids)
