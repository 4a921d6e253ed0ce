"""The hands of a session: what comes late, or at the wrong moment, does no harm."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from accounts.database import in_database_thread
from accounts.models import UsageDay, User
from accounts.selectors import today
from accounts.services import key_create
from chat import live
from realtime.admission import Admission, admit
from realtime.allowance import Allowance
from realtime.dialect import Dialect
from realtime.driver import Driver
from realtime.handshake import Handshake
from realtime.ids import new_id
from realtime.session import Session
from realtime.writer import Writer
from roles.models import Role
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer

pytestmark = pytest.mark.django_db(transaction=True)

TALK = "且听我慢慢道来。这一夜的风，要从南屏山上说起。" * 4
BY_HAND = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
BY_EAR = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
SECOND = "AAAA" * 16_000  # of silence, as base64


class LateAllowance(Allowance):
    """The real one, but its answer about hearing comes only when it is let."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.may_answer = asyncio.Event()

    async def check(self, budgets: Collection[str]) -> None:
        if "seconds" in budgets:
            await self.may_answer.wait()
        await super().check(budgets)


class Line:
    """A driver with all that belongs to it but the socket."""

    def __init__(self, admission: Admission) -> None:
        self.events: list[dict[str, Any]] = []
        handshake = Handshake({}, (), {})
        session = Session(admission.setup, clock=asyncio.get_running_loop().time, new_id=new_id)
        dialect = Dialect(handshake, admission.setup.conversation_id, new_id)
        self.writer = Writer(self._sent)
        self.driver = Driver(session, admission, dialect, self.writer)
        self.writing = asyncio.create_task(self.writer.run())
        self.driver.begin()

    async def _sent(self, message: Any) -> None:
        if "text" in message:
            self.events.append(json.loads(message["text"]))

    async def send(self, kind: str, **fields: Any) -> None:
        await self.driver.receive({"type": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    async def until(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                await asyncio.sleep(0.01)
        return found

    async def aclose(self) -> None:
        self.writer.finish(1000, "")
        await self.writing
        await self.driver.aclose()
        await live.aclose_all()


@pytest.fixture
async def server(settings) -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        for kind in ("LLM", "ASR", "TTS"):
            setattr(settings, f"{kind}_BASE_URL", running.base_url)
            setattr(settings, f"{kind}_API_KEY", "key")
            setattr(settings, f"{kind}_MODEL", "loopback")
        settings.RATE_LIMITS = False
        running.always("transcriptions", Behaviour(text="今夜会有东风吗"))
        running.always("chat", Behaviour(text=TALK, pace=Pace(tokens_per_second=40)))
        yield running


def let_in() -> Admission:
    user = User.objects.create_user("alice", password="x", monthly_seconds=1)
    UsageDay.objects.create(user=user, provider="x", unit="seconds", day=today(), amount=100)
    role = Role.objects.create(
        name="诸葛亮", description="字孔明", gender="男", age=40, voice_type="alloy"
    )
    _key, raw = key_create(user=user, name="k")
    handshake = Handshake({"authorization": f"Bearer {raw}"}, (), {"model": f"role:{role.pk}"})
    return admit(handshake, handshake.sign_in())


@pytest.fixture
async def admission(server) -> Admission:
    return await in_database_thread(transaction.atomic(let_in))


async def test_a_budget_that_is_found_spent_too_late_does_not_silence_the_answer(admission, server):
    allowance = LateAllowance(admission.credential)
    line = Line(replace(admission, allowance=allowance))
    await line.send("session.update", session=BY_HAND)
    await line.send("input_audio_buffer.append", audio=SECOND)
    await line.send("input_audio_buffer.commit")
    await line.send("response.create", response={"output_modalities": ["text"]})
    await line.until(lambda: line.of("response.output_text.delta"))
    allowance.may_answer.set()
    [done] = await line.until(lambda: line.of("response.done"))
    assert done["response"]["status"] == "completed"
    # The next one is refused, and so is its answer.
    server.always("transcriptions", Behaviour(fault="stall_before"))
    await line.send("input_audio_buffer.append", audio=SECOND)
    await line.send("input_audio_buffer.commit")
    await line.send("response.create", response={"output_modalities": ["text"]})
    await line.until(lambda: len(line.of("response.done")) == 2)
    error = line.of("response.done")[1]["response"]["status_details"]["error"]
    assert error["code"] == "insufficient_quota"
    await line.aclose()


async def test_an_ear_that_is_made_while_we_are_heard_knows_it(admission):
    line = Line(replace(admission, setup=replace(admission.setup, session=BY_HAND)))
    await line.send("response.create")
    await line.until(lambda: line.of("response.output_audio.delta"))
    assert line.driver._ear is None
    await line.send("session.update", session=BY_EAR)
    ear = line.driver._ear
    assert ear is not None
    assert ear.playing
    await line.send("response.cancel")
    assert not ear.playing
    await line.aclose()


async def test_a_session_that_is_closed_ends_its_response_before_the_socket(admission):
    line = Line(admission)
    await line.send("response.create", response={"output_modalities": ["text"]})
    await line.until(lambda: line.of("response.output_text.delta"))
    line.driver.close(1008, "The key was revoked.", "invalid_api_key")
    await line.until(line.writing.done)
    assert [event["type"] for event in line.events[-2:]] == ["response.done", "error"]
    assert line.of("response.done")[0]["response"]["status"] == "cancelled"
    await line.aclose()
