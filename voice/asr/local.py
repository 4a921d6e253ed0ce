"""Whisper base in this process: Chinese and English recognition without a server."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterable, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import zhconv

from voice.asr.base import SAMPLE_RATE, RecognizerCapabilities, Segment, Transcript
from voice.errors import ProviderError, Reason

MAX_SECONDS = 120.0
_MIN_SECONDS = 0.1
# A segment this unlikely to be speech, or this repetitive, was invented and not heard.
_MAX_NO_SPEECH, _MIN_LOG_PROBABILITY, _MAX_COMPRESSION = 0.6, -1.0, 2.4
_SURE_OF_LANGUAGE = 0.8
_CHINESE = frozenset({"zh", "yue"})
_FULL_WIDTH = str.maketrans(",?!:;", "，？！：；")

# By its folder, for as long as somebody has it: each event loop has a recogniser of its own.
_loaded: WeakValueDictionary[Path, Any] = WeakValueDictionary()
_loading = threading.Lock()


class WhisperRecognizer:
    """faster-whisper behind :class:`voice.asr.base.Recognizer`.

    The model is loaded once a process; utterances wait in one first-come queue and nothing
    blocks the event loop. Silence gives an empty transcript. Chinese comes out in
    simplified characters. Closing the iterator stops after the running segment.

    Args:
        models_dir: Where ``fetch_models`` put the weights.
        threads: Threads of one recognition; 0 takes the cores, at most four.
        parallel: Recognitions at once.
    """

    name = "local"
    capabilities = RecognizerCapabilities(streaming=False, max_seconds=MAX_SECONDS)

    def __init__(self, models_dir: Path, *, threads: int = 0, parallel: int = 1) -> None:
        self._directory = models_dir / "whisper-base"
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._parallel = parallel
        self._workers = ThreadPoolExecutor(parallel, thread_name_prefix="whisper")
        self._model: Any = None

    async def warm(self) -> None:
        """Load the model now (1 to 2 s) instead of at the first use.

        Raises:
            ProviderError: The weights are not there (``unavailable``).
        """
        await asyncio.get_running_loop().run_in_executor(self._workers, self._load)

    async def recognize(
        self, audio: AsyncIterable[bytes], *, language: str = ""
    ) -> AsyncIterator[Transcript]:
        """Recognise one utterance once it is complete; see the protocol."""
        pcm, limit = bytearray(), int(MAX_SECONDS * SAMPLE_RATE) * 2
        async for piece in audio:
            pcm += piece
            if len(pcm) > limit:
                raise self._error(f"the utterance is longer than {MAX_SECONDS:g} s", "bad_request")
        if len(pcm) % 2:
            raise self._error("the audio ends within a sample", "bad_request")
        if len(pcm) < _MIN_SECONDS * SAMPLE_RATE * 2:
            yield Transcript("", is_final=True, language=language)
            return
        samples: npt.NDArray[np.float32] = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        samples /= 32_768
        cancelled = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(
            self._workers, self._transcribe, samples, language, cancelled
        )
        try:
            yield await work
        finally:
            cancelled.set()

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await self.warm()

    async def aclose(self) -> None:
        """Finish the running recognition, drop the rest and release the model."""
        await asyncio.to_thread(self._workers.shutdown, cancel_futures=True)
        self._model = None

    def _load(self) -> Any:
        with _loading:
            if self._model is None:
                self._model = _loaded.get(self._directory) or self._open()
                _loaded[self._directory] = self._model
            return self._model

    def _open(self) -> Any:
        from faster_whisper import WhisperModel  # half a second, for those who use it

        if not (self._directory / "model.bin").is_file():
            raise self._error(
                f"{self._directory} has no model; run manage.py fetch_models", "unavailable"
            )
        try:
            return WhisperModel(
                str(self._directory),
                device="cpu",
                compute_type="int8",
                cpu_threads=self._threads,
                num_workers=self._parallel,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            message = f"{self._directory} does not load: {error}"
            raise self._error(message, "unavailable") from error

    def _transcribe(
        self, samples: npt.NDArray[np.float32], language: str, cancelled: threading.Event
    ) -> Transcript:
        segments, info = self._listen(samples, language or None)
        foreign = info.language not in {"zh", "en"}
        if not language and foreign and info.language_probability < _SURE_OF_LANGUAGE:
            # Short Mandarin is readily taken for a neighbour's language.
            odds = dict(info.all_language_probs or ())
            nearest = max(("zh", "en"), key=lambda code: odds.get(code, 0.0))
            segments, info = self._listen(samples, nearest)
        heard = []
        for segment in segments:  # decoded one by one, as they are asked for
            if cancelled.is_set():
                break
            if _is_speech(segment):
                heard.append(segment)
        chinese = info.language in _CHINESE
        text = _written("".join(segment.text for segment in heard), chinese)
        return Transcript(
            text,
            is_final=True,
            language=info.language if text else language,
            segments=tuple(
                Segment(segment.start, segment.end, _written(segment.text, chinese))
                for segment in heard
            ),
        )

    def _listen(self, samples: npt.NDArray[np.float32], language: str | None) -> Any:
        # No initial prompt: a Chinese one comes back as the transcript of unclear audio.
        return self._load().transcribe(
            samples,
            language=language,
            beam_size=5,
            # One pass, and no more words than anybody speaks in that time: a hum made the
            # model write to its limit, twice, for 10 s of CPU.
            temperature=0.0,
            max_new_tokens=int(24 + 16 * min(len(samples) / SAMPLE_RATE, 12)),
            condition_on_previous_text=False,
            no_speech_threshold=_MAX_NO_SPEECH,
            log_prob_threshold=_MIN_LOG_PROBABILITY,
            compression_ratio_threshold=_MAX_COMPRESSION,
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": 500},
        )

    def _error(self, message: str, reason: Reason) -> ProviderError:
        return ProviderError(message, provider=self.name, reason=reason)


def _is_speech(segment: Any) -> bool:
    invented = (
        segment.no_speech_prob > _MAX_NO_SPEECH and segment.avg_logprob < _MIN_LOG_PROBABILITY
    )
    return not invented and segment.compression_ratio <= _MAX_COMPRESSION


def _written(text: str, chinese: bool) -> str:
    return _simplified(text.strip()) if chinese else text.strip()


def _simplified(text: str) -> str:
    """Simplified characters, and Chinese punctuation where it stands between them."""
    text = zhconv.convert(text, "zh-hans")
    between = r"(?<=[\u4e00-\u9fff])[,?!:;]\s*(?=[\u4e00-\u9fff]|$)"
    return re.sub(between, lambda match: match[0].strip().translate(_FULL_WIDTH), text)
