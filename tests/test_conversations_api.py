"""``/api/conversations…``: each user's own, and nobody else's."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import User
from chat import services
from chat.models import Conversation, Message, Modality
from roles.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="x")


@pytest.fixture
def charlie() -> User:
    return User.objects.create_user("charlie", password="x")


@pytest.fixture
def role() -> Role:
    return Role.objects.create(
        name="诸葛亮",
        description="字孔明，号卧龙，蜀汉丞相。",
        gender="男",
        age=40,
        voice_type="x",
        greeting="亮在此。",
    )


def as_(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def talk(user: User, role: Role, count: int = 1, **fields) -> int:
    for number in range(count):
        created = services.turn_create(
            user=user,
            role_id=role.pk,
            utterance=services.Utterance(text=f"第{number}句"),
            reply_modality=Modality.TEXT,
            channel="chat",
            **fields,
        )
        turn = services.turn_claim(turn_id=created.turn_id, worker="w")
        services.turn_complete(
            turn=turn, text=f"答{number}", audio=b"", audio_seconds=0, timings={}
        )
    return created.conversation_id


def test_it_needs_a_token():
    for path in ("/api/conversations", "/api/conversations/1", "/api/conversations/1/messages"):
        assert APIClient().get(path).json()["code"] == 401


def test_starting_one_gives_the_greeting(alice, role):
    answer = as_(alice).post("/api/conversations", {"role_id": role.pk}, format="json").json()
    assert answer["code"] == 200
    assert [m["text"] for m in answer["data"]["messages"]] == ["亮在此。"]
    assert answer["data"]["messages"][0]["author"] == "assistant"


@pytest.mark.parametrize("body", [{}, {"role_id": None}, {"role_id": "x"}, {"role_id": 0}, [], 5])
def test_a_bad_body_is_400(alice, body):
    answer = as_(alice).post("/api/conversations", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["data"] is None


def test_an_unknown_role_is_404(alice):
    assert as_(alice).post("/api/conversations", {"role_id": 999}, format="json").status_code == 404


def test_the_last_active_comes_first(alice, role):
    first = talk(alice, role)
    second = services.conversation_start(user=alice, role=role).pk
    talk(alice, role, conversation_id=first)
    page = as_(alice).get("/api/conversations").json()["data"]
    assert [c["id"] for c in page["list"]] == [first, second]
    assert page["list"][0]["last_message"]["text"] == "答0"
    assert page["list"][0]["role"]["name"] == "诸葛亮"
    assert page["list"][0]["message_count"] == 5


def test_conversations_of_a_deleted_role_stay_readable(alice, role):
    conversation = talk(alice, role)
    role.deleted_at = "2026-01-01T00:00:00Z"
    role.save()
    data = as_(alice).get(f"/api/conversations/{conversation}").json()["data"]
    assert data["role"]["deleted"] is True


def test_messages_are_paged_backwards_without_a_hole(alice, role):
    conversation = talk(alice, role, 12)
    seen: list[int] = []
    before = ""
    while True:
        data = (
            as_(alice)
            .get(f"/api/conversations/{conversation}/messages?limit=7{before}")
            .json()["data"]
        )
        seen = [m["id"] for m in data["list"]] + seen
        if not data["has_more"]:
            break
        before = f"&before={seen[0]}"
    assert seen == list(Message.objects.order_by("id").values_list("id", flat=True))


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=0", "before=x"])
def test_bad_paging_is_400(alice, role, query):
    path = f"/api/conversations/{talk(alice, role)}/messages?{query}"
    assert as_(alice).get(path).status_code == 400


def test_nobody_sees_or_deletes_anothers(alice, charlie, role):
    conversation = talk(alice, role)
    stranger = as_(charlie)
    assert stranger.get("/api/conversations").json()["data"]["total"] == 0
    for method, path in (("get", ""), ("delete", ""), ("get", "/messages")):
        answer = getattr(stranger, method)(f"/api/conversations/{conversation}{path}")
        assert answer.status_code == 404
    assert Conversation.objects.filter(pk=conversation).exists()


def test_deleting_ones_own(alice, role):
    conversation = talk(alice, role)
    assert as_(alice).delete(f"/api/conversations/{conversation}").json()["code"] == 200
    assert not Message.objects.exists()


def test_queries_do_not_grow_with_rows(alice, role):
    def queries(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert as_(alice).get(path).status_code == 200
        return len(captured)

    conversation = talk(alice, role)
    before = queries("/api/conversations"), queries(f"/api/conversations/{conversation}/messages")
    talk(alice, role, 10)
    for _ in range(5):
        services.conversation_start(user=alice, role=role)
    after = queries("/api/conversations"), queries(f"/api/conversations/{conversation}/messages")
    assert after == before
