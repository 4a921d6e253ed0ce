"""What the attempts of a turn come to in the ledger."""

from chat.llm.base import Prompt, PromptMessage
from chat.llm.fallback import FallbackLanguageModel
from chat.llm.openai import OpenAILanguageModel
from chat.llm.tokens import estimate_tokens
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.attempts import Attempt, collected
from voice.ledger import amounts_of


def test_sums_are_kept_a_provider_and_unit() -> None:
    attempts = [
        Attempt("asr", "openai", "ok", 0.2, 0.3, {"seconds": 1.5}),
        Attempt("llm", "openai", "ok", 0.2, 1.0, {"prompt_tokens": 20, "completion_tokens": 7}),
        Attempt("tts", "openai", "ok", 0.1, 0.4, {"characters": 12}),
        Attempt("tts", "local", "ok", 0.1, 0.4, {"characters": 3}),
        Attempt("tts", "openai", "ok", 0.1, 0.4, {"characters": 5}),
    ]
    assert amounts_of(attempts) == {
        ("openai", "seconds"): 1.5,
        ("openai", "prompt_tokens"): 20,
        ("openai", "completion_tokens"): 7,
        ("openai", "characters"): 17,
        ("local", "characters"): 3,
    }


def test_what_was_refused_is_not_charged_and_what_was_heard_in_part_is() -> None:
    attempts = [
        Attempt("tts", "openai", "rate_limited", None, 0.1, {"characters": 12}),
        Attempt("tts", "openai", "cancelled", None, 0.1, {"characters": 12}),
        Attempt("tts", "qiniu", "network", 0.2, 0.4, {"characters": 9}),
        Attempt("tts", "qiniu", "cancelled", 0.2, 0.4, {"characters": 4}),
        Attempt("llm", "openai", "ok", 0.1, 0.2),
    ]
    assert amounts_of(attempts) == {("qiniu", "characters"): 13}


def test_silence_that_was_recognised_as_nothing_is_charged() -> None:
    silent = Attempt("asr", "openai", "ok", None, 0.3, {"seconds": 2.0})
    assert amounts_of([silent]) == {("openai", "seconds"): 2.0}


ASKED = "先生安好？请为我说一说这天下的大势，从头说起。"
REPLY = "天下大势，分久必合，合久必分。"


async def amounts_of_a_reply(behaviour: Behaviour, *, pieces: int = 10_000) -> tuple[float, float]:
    """Tokens of the prompt and of the reply, of which so many pieces are taken."""
    async with OpenAIServer() as server:
        server.always("chat", behaviour)
        model = FallbackLanguageModel({"openai": OpenAILanguageModel(server.base_url, "", "m")})
        with collected() as attempts:
            stream = model.stream(Prompt((PromptMessage("user", ASKED),)), max_tokens=500)
            async for _item in stream:
                pieces -= 1
                if not pieces:
                    break
            await stream.aclose()  # type: ignore[attr-defined]
        await model.aclose()
    amounts = amounts_of(attempts)
    return amounts["openai", "prompt_tokens"], amounts["openai", "completion_tokens"]


async def test_tokens_are_those_that_the_provider_tells() -> None:
    prompt, reply = await amounts_of_a_reply(Behaviour(text=REPLY))
    assert (prompt, reply) == (len(ASKED), len(REPLY))  # the loopback model's way to count


async def test_tokens_are_estimated_where_the_provider_does_not_tell() -> None:
    silent = Behaviour(text=REPLY, rejects=("stream_options",))
    assert await amounts_of_a_reply(silent) == (estimate_tokens(ASKED), estimate_tokens(REPLY))


async def test_a_reply_that_is_cut_off_is_not_free() -> None:
    slow = Behaviour(text=REPLY, pace=Pace(tokens_per_second=50))
    prompt, reply = await amounts_of_a_reply(slow, pieces=3)
    assert prompt == estimate_tokens(ASKED)
    assert 0 < reply < estimate_tokens(REPLY)
