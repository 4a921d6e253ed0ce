"""What a spoken session stores, and what it begins with."""

import threading
import time

import pytest
from django.db.models.signals import post_init

from accounts.models import User
from chat import live_services, memory, selectors, services
from chat.live_selectors import opening
from chat.models import Conversation, Message, Summary
from roles.models import Role
from tests.live_turns import wait_until
from uploads.models import AudioFile
from voice import storage
from voice.audio.decode import decode_clip

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = b"\x01\x00" * 16_000


@pytest.fixture(autouse=True)
def _media(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path, "base_url": "/uploads/"},
        },
    }


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="x")


@pytest.fixture
def mallory() -> User:
    return User.objects.create_user("mallory", password="x")


@pytest.fixture
def role() -> Role:
    return make_role(greeting="亮在此，{{user}}有何吩咐？")


def make_role(**fields) -> Role:
    return Role.objects.create(
        **{
            "name": "诸葛亮",
            "description": "字孔明，号卧龙，蜀汉丞相。",
            "gender": "男",
            "age": 40,
            "voice_type": "x",
            **fields,
        }
    )


def open_(user, role, public_id="conv_a") -> int:
    return live_services.conversation_open(user_id=user.pk, role_id=role.pk, public_id=public_id)


def say(user, conversation_id, text="", pcm=None) -> int:
    return live_services.utterance_store(
        conversation_id=conversation_id, user_id=user.pk, text=text, pcm=pcm
    )


def answer(conversation_id, text="好。", full_text="", spoken=True) -> int:
    return live_services.reply_store(
        conversation_id=conversation_id, text=text, full_text=full_text, spoken=spoken
    )


def texts(conversation_id) -> list[str]:
    return list(Message.objects.filter(conversation=conversation_id).values_list("text", flat=True))


# --- how it begins


def test_a_new_session_begins_with_the_greeting_and_stores_nothing(alice, role):
    begun = opening(user=alice, role_id=role.pk)
    assert begun.history == [("assistant", "亮在此，alice有何吩咐？")]
    assert (begun.role.name, begun.user_name, begun.summary) == ("诸葛亮", "alice", "")
    assert begun.conversation_id is None
    assert begun.public_id.startswith("conv_")
    assert begun.public_id != opening(user=alice, role_id=role.pk).public_id
    assert not Conversation.objects.exists()
    stored = open_(alice, role, begun.public_id)
    assert texts(stored) == [begun.history[0][1]]


def test_a_character_without_a_greeting_waits(alice):
    assert opening(user=alice, role_id=make_role().pk).history == []


def test_a_conversation_goes_on_by_either_of_its_names(alice, role):
    conversation_id = open_(alice, role)
    say(alice, conversation_id, "今夜有风吗")
    answer(conversation_id, "必有东风。")
    by_name = opening(user=alice, role_id=None, public_id="conv_a")
    assert by_name == opening(user=alice, role_id=role.pk, conversation_id=conversation_id)
    assert by_name.conversation_id == conversation_id
    assert by_name.public_id == "conv_a"
    assert by_name.history == [
        ("assistant", "亮在此，alice有何吩咐？"),
        ("user", "今夜有风吗"),
        ("assistant", "必有东风。"),
    ]


def test_a_conversation_of_the_chat_goes_on_by_voice_and_comes_back(alice, role):
    typed = services.conversation_start(user=alice, role=role)
    begun = opening(user=alice, role_id=role.pk, conversation_id=typed.pk)
    again = opening(user=alice, role_id=role.pk, public_id=begun.public_id)
    assert again.conversation_id == typed.pk


def test_the_history_begins_behind_the_summary(alice, role):
    conversation_id = open_(alice, role)
    last = say(alice, conversation_id, "我姓刘")
    services.summary_store(conversation_id=conversation_id, text="用户姓刘。", through=last)
    answer(conversation_id, "刘皇叔。")
    begun = opening(user=alice, role_id=None, public_id="conv_a")
    assert begun.summary == "用户姓刘。"
    assert begun.history == [("assistant", "刘皇叔。")]


def test_it_takes_few_queries(alice, role, django_assert_num_queries):
    conversation_id = open_(alice, role)
    with django_assert_num_queries(3):
        opening(user=alice, role_id=role.pk, conversation_id=conversation_id)
    with django_assert_num_queries(1):
        opening(user=alice, role_id=role.pk)


def test_nobody_opens_what_is_somebody_elses(alice, mallory, role):
    conversation_id = open_(alice, role)
    for name in ({"public_id": "conv_a"}, {"conversation_id": conversation_id}):
        with pytest.raises(services.ConversationNotFound):
            opening(user=mallory, role_id=role.pk, **name)
    # The name is each user's own: to take it opens nothing of the other one.
    assert open_(mallory, role, "conv_a") != conversation_id
    with pytest.raises(services.ConversationNotFound):
        say(mallory, conversation_id, "让我进来")
    with pytest.raises(services.ConversationNotFound):
        say(mallory, conversation_id, pcm=SECOND)
    assert not AudioFile.objects.exists()


def test_what_is_gone_is_not_found(alice, role):
    other = make_role()
    conversation_id = open_(alice, role)
    with pytest.raises(services.ConversationNotFound):
        opening(user=alice, role_id=None, public_id="conv_unknown")
    with pytest.raises(services.ConversationNotFound):
        opening(user=alice, role_id=other.pk, conversation_id=conversation_id)
    with pytest.raises(services.ConversationNotFound):
        open_(alice, other)
    with pytest.raises(services.RoleNotFound):
        opening(user=alice, role_id=None)
    role.deleted_at = role.created_at
    role.save()
    with pytest.raises(services.RoleNotFound):
        opening(user=alice, role_id=role.pk)
    with pytest.raises(services.RoleNotFound):
        opening(user=alice, role_id=None, conversation_id=conversation_id)
    with pytest.raises(services.RoleNotFound):
        open_(alice, role, "conv_b")


def test_of_two_who_open_the_same_at_once_both_get_it(alice, role):
    quicker: list[int] = []

    def be_quicker(**kwargs) -> None:
        """Right behind the look whether there is one."""
        post_init.disconnect(be_quicker, sender=User)
        quicker.append(open_(alice, role))

    post_init.connect(be_quicker, sender=User)
    found = open_(alice, role)
    assert quicker == [found]
    assert open_(alice, role) == found
    assert texts(found) == ["亮在此，alice有何吩咐？"]


# --- what is stored


def test_speech_is_kept_and_its_transcript_follows(alice, role):
    conversation_id = open_(alice, role)
    message_id = say(alice, conversation_id, pcm=SECOND)
    message = Message.objects.select_related("audio").get(pk=message_id)
    assert (message.author, message.modality, message.text) == ("user", "voice", "")
    assert message.audio.owner == alice
    kept = storage.read(message.audio.name)
    clip = decode_clip(kept, max_seconds=10, max_bytes=10**6)
    assert clip.pcm == SECOND
    assert message.audio.seconds == 1.0
    live_services.transcript_settle(message_id=message_id, text="今夜有风吗")
    message.refresh_from_db()
    assert message.text == "今夜有风吗"


def test_where_nobody_spoke_nothing_stays(alice, role):
    conversation_id = open_(alice, role)
    before = texts(conversation_id)
    message_id = say(alice, conversation_id, pcm=SECOND)
    name = AudioFile.objects.get().name
    live_services.transcript_settle(message_id=message_id, text="")
    assert texts(conversation_id) == before
    assert not AudioFile.objects.exists()
    with pytest.raises(storage.StorageError):
        storage.read(name)


def test_typed_words_are_text(alice, role):
    message = Message.objects.get(pk=say(alice, open_(alice, role), "你好"))
    assert (message.modality, message.text, message.audio) == ("text", "你好", None)


def test_a_reply_holds_what_was_heard_and_all_beside_it(alice, role):
    conversation_id = open_(alice, role)
    message_id = answer(conversation_id, "今夜必有", "今夜必有东风。")
    live_services.reply_update(message_id=message_id, text="今夜", full_text="今夜必有东风。")
    reply = Message.objects.get(pk=message_id)
    assert (reply.author, reply.modality) == ("assistant", "voice")
    assert (reply.text, reply.full_text) == ("今夜", "今夜必有东风。")
    assert Message.objects.get(pk=answer(conversation_id, spoken=False)).modality == "text"


def test_the_chat_sees_what_was_said_in_order(alice, role):
    conversation_id = open_(alice, role)
    say(alice, conversation_id, "一")
    answer(conversation_id, "二")
    conversation = selectors.conversation_of(user=alice, conversation_id=conversation_id)
    assert conversation is not None
    messages, _more = selectors.messages_page(conversation=conversation, before=None, limit=9)
    assert [m.text for m in messages][1:] == ["一", "二"]
    created = services.turn_create(
        user=alice,
        role_id=role.pk,
        utterance=services.Utterance(text="三"),
        reply_modality=None,
        channel="chat",
    )
    assert created.conversation_id == conversation_id
    turn = services.turn_claim(turn_id=created.turn_id, worker="w")
    assert turn is not None
    assert [text for _author, text in selectors.turn_context(turn=turn).history][1:] == ["一", "二"]


def test_it_becomes_the_newest_conversation(alice, role):
    spoken = open_(alice, role)
    other = services.conversation_start(user=alice, role=role)
    for write in (lambda: say(alice, spoken, "我回来了"), lambda: answer(spoken)):
        Conversation.objects.filter(pk=spoken).update(active_at=other.created_at)
        write()
        assert selectors.conversations_of(user=alice)[0].pk == spoken


def test_a_summary_is_asked_for_where_one_is_due(alice, role, settings, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr("chat.tasks.update_summary.delay", asked.append)
    settings.LLM_CONTEXT_TOKENS = 400
    conversation_id = open_(alice, role)
    answer(conversation_id)
    assert asked == []
    for _ in range(memory.KEPT_MESSAGES):
        say(alice, conversation_id, "说来话长" * 10)
    answer(conversation_id, "东风" * 10)
    answer(conversation_id, "东风" * 10)
    for _ in range(memory.KEPT_MESSAGES):
        answer(conversation_id, "嗯")
    wait_until(lambda: asked)
    assert set(asked) == {conversation_id}


@pytest.mark.parametrize("kind", ["refuses", "hangs"])
def test_a_broker_that_is_away_keeps_no_reply_from_being_stored(
    alice, role, settings, monkeypatch, caplog, kind
):
    asked: list[int] = []
    over = threading.Event()

    def away(conversation_id: int) -> None:
        asked.append(conversation_id)
        if kind == "hangs":
            over.wait(10)
        raise OSError("no broker")

    monkeypatch.setattr("chat.tasks.update_summary.delay", away)
    settings.LLM_CONTEXT_TOKENS = 1
    conversation_id = open_(alice, role)
    began = time.monotonic()
    for number in range(memory.KEPT_MESSAGES + 4):
        answer(conversation_id, f"{number}")
    assert time.monotonic() - began < 5
    assert texts(conversation_id)[-1] == f"{memory.KEPT_MESSAGES + 3}"
    wait_until(lambda: asked)
    over.set()
    wait_until(lambda: "task not handed over" in caplog.text)
    wait_until(lambda: len(asked) > 2)  # it is asked again with each reply


def test_what_a_client_deletes_is_forgotten(alice, role):
    conversation_id = open_(alice, role)
    before = texts(conversation_id)
    message_id = say(alice, conversation_id, pcm=SECOND)
    for _twice in range(2):
        live_services.message_forget(message_id=message_id)
    assert texts(conversation_id) == before
    assert not AudioFile.objects.exists()


def test_writes_to_a_deleted_conversation_say_so(alice, role):
    conversation_id = open_(alice, role)
    said, replied = say(alice, conversation_id, pcm=SECOND), answer(conversation_id)
    services.conversation_delete(conversation=Conversation.objects.get(pk=conversation_id))
    for write in (
        lambda: say(alice, conversation_id, "还在吗"),
        lambda: say(alice, conversation_id, pcm=SECOND),
        lambda: answer(conversation_id),
        lambda: live_services.transcript_settle(message_id=said, text="还在吗"),
        lambda: live_services.reply_update(message_id=replied, text="在", full_text=""),
    ):
        with pytest.raises(services.ConversationNotFound):
            write()
    live_services.transcript_settle(message_id=said, text="")
    live_services.message_forget(message_id=replied)
    assert not Message.objects.exists()
    assert not AudioFile.objects.exists()
    assert not Summary.objects.exists()
