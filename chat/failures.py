"""How a failed turn is told: a code and words by stage and reason."""

from typing import cast

from django.utils.translation import gettext as _

from chat.engine.events import Stage, TurnFailed
from uploads.sources import ClipError, clip_error_message
from uploads.sources import Stage as SourceStage

_CODES: dict[tuple[str, str], int] = {
    ("asr", "silent"): 400,
    ("asr", "too_long"): 413,
    ("turn", "internal"): 500,
}
_BY_REASON = {"timeout": 504, "rate_limited": 429}


def audio_failure(error: ClipError) -> TurnFailed:
    """A spoken message that could not be had, as a failed turn."""
    return TurnFailed("audio", f"{error.stage}/{error.reason}", str(error))


def failure_code(stage: Stage, reason: str) -> int:
    """The contract's code: what the client did wrong, else what failed behind us."""
    if stage == "audio":
        return _clip_error(reason).code
    return _CODES.get((stage, reason)) or _BY_REASON.get(reason) or 502


def failure_text(error: str) -> str:
    """Words for a person, in the active language.

    Args:
        error: ``stage:reason`` as a turn keeps it.
    """
    stage, _sep, reason = error.partition(":")
    if stage == "audio":
        clip_error = _clip_error(reason)
        return clip_error_message(clip_error.stage, clip_error.reason)
    special = {
        "asr:silent": _("没有听到说话内容"),
        "asr:too_long": _("语音过长"),
        "asr:timeout": _("语音识别超时"),
        "llm:timeout": _("大模型响应超时"),
        "tts:timeout": _("语音合成超时"),
        "turn:timeout": _("处理超时"),
        "turn:lost": _("处理中断，请重试"),
        "turn:unavailable": _("服务暂不可用，请稍后再试"),
    }
    if text := special.get(error):
        return text
    if reason == "rate_limited":
        return _("服务繁忙，请稍后再试")
    return {
        "asr": _("语音识别失败"),
        "llm": _("大模型调用失败"),
        "tts": _("语音合成失败"),
    }.get(stage, _("服务器内部错误"))


def _clip_error(reason: str) -> ClipError:
    stage, _sep, inner = reason.partition("/")
    return ClipError(cast(SourceStage, stage), inner)
