"""Turns in the database: each is stored first, and ends once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from accounts.quotas import QuotaSpent
from accounts.services import usage_add
from chat import selectors, services
from chat.models import Conversation, Message, Modality, Turn, TurnState
from roles.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


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
        greeting="亮在此，{{user}}有何吩咐？",
    )


def create(user, role, text="你好", **fields):
    given = {"reply_modality": Modality.TEXT, "channel": "chat", **fields}
    return services.turn_create(
        user=user, role_id=role.pk, utterance=services.Utterance(text=text), **given
    )


def test_what_was_said_is_stored_with_its_turn(alice, role):
    created = create(alice, role)
    turn = Turn.objects.get(pk=created.turn_id)
    assert turn.state == TurnState.QUEUED
    assert turn.request.text == "你好"
    assert [m.text for m in turn.conversation.messages.all()] == ["亮在此，alice有何吩咐？", "你好"]


def test_the_newest_conversation_goes_on(alice, role):
    first = create(alice, role)
    assert create(alice, role).conversation_id == first.conversation_id
    other = services.conversation_start(user=alice, role=role)
    assert create(alice, role).conversation_id == other.pk
    again = create(alice, role, conversation_id=first.conversation_id)
    assert again.conversation_id == first.conversation_id


def test_who_has_used_up_the_month_stores_nothing(alice, charlie, role, settings):
    settings.USER_MONTHLY_CHARACTERS = 10
    first = create(alice, role, client_id="a")
    usage_add(user_id=alice.pk, role_id=role.pk, amounts={("openai", "characters"): 10})
    for modality in (Modality.VOICE, None):
        with pytest.raises(QuotaSpent):
            create(alice, role, reply_modality=modality)
    assert create(alice, role, client_id="a", reply_modality=None).turn_id == first.turn_id
    assert Turn.objects.count() == 1
    create(alice, role)  # a reply in writing speaks no characters
    create(charlie, role, reply_modality=Modality.VOICE)
    settings.USER_MONTHLY_SECONDS = 10
    usage_add(user_id=alice.pk, role_id=role.pk, amounts={("openai", "seconds"): 10})
    spoken = services.Utterance(audio_url="https://example.org/a.mp3")
    with pytest.raises(QuotaSpent):
        services.turn_create(
            user=alice,
            role_id=role.pk,
            utterance=spoken,
            reply_modality=Modality.TEXT,
            channel="chat",
        )


def test_nobody_gets_into_anothers_conversation(alice, charlie, role):
    mine = create(alice, role).conversation_id
    with pytest.raises(services.ConversationNotFound):
        create(charlie, role, conversation_id=mine)
    assert not Turn.objects.filter(user=charlie).exists()
    assert selectors.conversation_of(user=charlie, conversation_id=mine) is None


def test_an_unknown_or_deleted_role_stores_nothing(alice, role):
    role.deleted_at = "2026-01-01T00:00:00Z"
    role.save()
    for role_id in (role.pk, 10**9):
        with pytest.raises(services.RoleNotFound):
            services.turn_create(
                user=alice,
                role_id=role_id,
                utterance=services.Utterance(text="x"),
                reply_modality=None,
                channel="chat",
            )
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()


def test_a_known_id_starts_nothing_new(alice, charlie, role):
    first = create(alice, role, client_id="m1")
    again = create(alice, role, client_id="m1")
    assert again.known
    assert again.turn_id == first.turn_id
    assert not create(charlie, role, client_id="m1").known
    assert Turn.objects.filter(user=alice).count() == 1


def test_chance_decides_half_and_half(alice, role):
    got = [
        Turn.objects.get(pk=create(alice, role, reply_modality=None).turn_id).reply_modality
        for _ in range(60)
    ]
    assert 10 < got.count("voice") < 50


def claim_persistently(turn_id: int, name: str):
    """As workers do, each with its own connection.

    The tests' database lies in memory, where a lock is told at once; a file's is waited for.
    """
    try:
        while True:
            try:
                return services.turn_claim(turn_id=turn_id, worker=name)
            except OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(0.005)
    finally:
        connection.close()


def test_one_of_many_workers_claims_a_turn(alice, role):
    turn_id = create(alice, role).turn_id
    with ThreadPoolExecutor(8) as workers:
        together = threading.Barrier(8)

        def claim(name: str):
            together.wait(5)
            return claim_persistently(turn_id, name)

        names = [f"w{n}" for n in range(8)]
        claims = dict(zip(names, workers.map(claim, names), strict=True))
    (claimed,) = [name for name, turn in claims.items() if turn]
    turn = Turn.objects.get(pk=turn_id)
    assert (turn.worker, turn.attempt) == (claimed, 1)


def test_a_claim_that_breaks_in_the_middle_can_be_made_again(alice, role):
    turn_id = create(alice, role).turn_id

    def break_reads(execute, sql, params, many, context):
        if sql.startswith("SELECT"):
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(break_reads), pytest.raises(OperationalError):
        services.turn_claim(turn_id=turn_id, worker="w")
    turn = services.turn_claim(turn_id=turn_id, worker="w")
    assert turn is not None
    assert turn.attempt == 1


def complete(turn, text="好。"):
    return services.turn_complete(turn=turn, text=text, audio=b"", audio_seconds=0, timings={})


def test_a_turn_ends_once(alice, role):
    turn = services.turn_claim(turn_id=create(alice, role).turn_id, worker="w")
    assert complete(turn)
    assert not complete(turn, "again")
    assert not services.turn_fail(turn_id=turn.pk, stage="llm", reason="timeout")
    result = selectors.turn_result(turn_id=turn.pk)
    assert (result.state, result.reply_text) == (TurnState.COMPLETED, "好。")
    assert Message.objects.filter(author="assistant", text="again").count() == 0


def test_a_worker_given_up_as_lost_ends_nothing(alice, role):
    turn_id = create(alice, role).turn_id
    ghost = services.turn_claim(turn_id=turn_id, worker="ghost")
    assert services.turn_requeue(turn_id=turn_id, attempt=1)
    second = services.turn_claim(turn_id=turn_id, worker="second")
    assert not complete(ghost, "of the ghost")
    assert complete(second, "of the second")
    assert not services.turn_requeue(turn_id=turn_id, attempt=2)
    assert selectors.turn_result(turn_id=turn_id).reply_text == "of the second"


def test_a_turn_is_requeued_once_only(alice, role):
    turn_id = create(alice, role).turn_id
    services.turn_claim(turn_id=turn_id, worker="a")
    assert services.turn_requeue(turn_id=turn_id, attempt=1)
    services.turn_claim(turn_id=turn_id, worker="b")
    assert not services.turn_requeue(turn_id=turn_id, attempt=2)


def test_a_queued_turn_can_be_cancelled(alice, role):
    turn_id = create(alice, role).turn_id
    assert services.turn_cancel_queued(turn_id=turn_id)
    assert services.turn_claim(turn_id=turn_id, worker="w") is None


def test_a_reply_stands_behind_its_request_in_the_history(alice, role):
    one, two = create(alice, role, "一"), create(alice, role, "二")
    for turn_id, text in ((one.turn_id, "回一"),):
        complete(services.turn_claim(turn_id=turn_id, worker="w"), text)
    turn = services.turn_claim(turn_id=two.turn_id, worker="w")
    history = [text for _author, text in selectors.turn_context(turn=turn).history]
    assert history[1:] == ["一", "回一"]
    complete(turn, "回二")
    turn = services.turn_claim(turn_id=create(alice, role, "三").turn_id, worker="w")
    history = [text for _author, text in selectors.turn_context(turn=turn).history]
    assert history[1:] == ["一", "回一", "二", "回二"]


def test_summary_and_history_leave_no_hole_and_no_overlap(alice, role):
    for n in range(30):
        turn = services.turn_claim(turn_id=create(alice, role, f"问{n}").turn_id, worker="w")
        complete(turn, f"答{n}")
    conversation = Conversation.objects.get()
    rows = selectors.unsummarised(conversation_id=conversation.pk, kept=16)
    services.summary_store(conversation_id=conversation.pk, text="前情", through=rows[-1]["id"])
    services.summary_store(conversation_id=conversation.pk, text="重复", through=rows[-1]["id"])
    turn = services.turn_claim(turn_id=create(alice, role, "末").turn_id, worker="w")
    context = selectors.turn_context(turn=turn)
    assert context.summary == "前情"
    summarised = [row["text"] for row in rows]
    everything = list(
        conversation.messages.exclude(pk=turn.request_id).values_list("text", flat=True)
    )
    assert summarised + [text for _author, text in context.history] == everything


def test_deleting_a_conversation_deletes_all_of_it(alice, role):
    create(alice, role)
    services.conversation_delete(conversation=Conversation.objects.get())
    assert not Message.objects.exists()
    assert not Turn.objects.exists()


def test_turns_of_a_broken_transaction_leave_no_trace(alice, role):
    with pytest.raises(RuntimeError), transaction.atomic():
        create(alice, role)
        raise RuntimeError
    assert not Message.objects.exists()
