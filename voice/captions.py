"""What was said and when, as files that players show beside the sound."""

from collections.abc import Sequence
from typing import Any

from voice.asr.base import Segment, Transcript
from voice.sentences import sentences

_NAMES = {"zh": "chinese", "en": "english"}


def timed(transcript: Transcript, seconds: float) -> list[Segment]:
    """When each part was spoken.

    Where the recogniser did not tell, the sentences share the sound by their lengths: an
    estimate, good enough to read along.

    Args:
        transcript: A final one.
        seconds: Length of what was heard.
    """
    if transcript.segments:
        return list(transcript.segments)
    pace = seconds / max(1, len(transcript.text))
    segments: list[Segment] = []
    begun = 0
    for sentence in sentences(transcript.text):
        ended = begun + len(sentence)
        segments.append(Segment(begun * pace, ended * pace, sentence.strip()))
        begun = ended
    return segments


def srt(segments: Sequence[Segment]) -> str:
    """SubRip."""
    blocks = (
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{_line(each)}\n"
        for number, each in enumerate(segments, 1)
    )
    return "\n".join(blocks)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/)."""
    blocks = (
        f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n"
        f"{_line(each).replace('&', '&amp;').replace('<', '&lt;')}\n"
        for each in segments
    )
    return "\n".join(["WEBVTT\n", *blocks])


def verbose(transcript: Transcript, seconds: float, temperature: float) -> dict[str, Any]:
    """OpenAI's ``verbose_json``. What recognisers here do not tell is 0 or empty."""
    return {
        "task": "transcribe",
        "language": _NAMES.get(transcript.language, transcript.language),
        "duration": round(seconds, 3),
        "text": transcript.text,
        "segments": [
            {
                "id": number,
                "seek": 0,
                "start": round(each.start, 3),
                "end": round(each.end, 3),
                "text": each.text,
                "tokens": [],
                "temperature": temperature,
                "avg_logprob": 0.0,
                "compression_ratio": 0.0,
                "no_speech_prob": 0.0,
            }
            for number, each in enumerate(timed(transcript, seconds))
        ],
    }


def _line(segment: Segment) -> str:
    """A blank line would end the block, and an arrow would be taken for times."""
    return " ".join(segment.text.split()).replace("-->", "→")


def _clock(seconds: float, separator: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, rest = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{separator}{rest:03}"
