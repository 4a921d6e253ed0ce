"""What the attempts of a turn come to in the ledger."""

from voice.attempts import Attempt
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
