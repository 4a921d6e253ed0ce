"""What is asked, and when its answer can begin to be heard."""

import functools

from chat.engine.segmenter import Segmenter
from chat.engine.speakable import SpeakableFilter
from tests.servers import voiced
from tests.servers.behaviour import Pace
from tests.servers.openai_answers import REPLY, tokens_of

PACE = Pace(asr_ms=100, llm_first_ms=200, tokens_per_second=30, tts_first_ms=150)


@functools.cache
def question_mp3() -> bytes:
    """Two seconds of something like speech, as an MP3 file."""
    return voiced.mp3(voiced.pcm(2.0))


def text_floor() -> float:
    """Ms that the providers take to the first piece of text."""
    return PACE.llm_first_ms


def voice_floor() -> float:
    """Ms that the providers take to the first byte of audio.

    The scripted reply is fed token by token to the filter and the segmenter of the engine:
    the number of the token that completes the first segment says when the synthesiser could
    be asked at the earliest.
    """
    speakable, segmenter = SpeakableFilter("zh"), Segmenter()
    for number, token in enumerate(tokens_of(REPLY)):
        if segmenter.feed(speakable.feed(token)):
            tokens_ms = number / PACE.tokens_per_second * 1000
            return PACE.asr_ms + PACE.llm_first_ms + tokens_ms + PACE.tts_first_ms
    raise ValueError("the reply has no segment before its end")
