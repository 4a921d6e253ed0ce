"""Kokoro-82M in this process: Chinese and English speech without a server."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from voice.errors import ProviderError, Reason
from voice.tts.base import SynthesizerCapabilities, VoiceRef
from voice.tts.phonemes import phonemize, split, token_ids

SAMPLE_RATE = 24_000
MAX_CHARACTERS = 4_000
_FIRST_CHUNK, _CHUNK = 60, 200  # phonemes: the first sound early, then an even prosody
_VOICE_NAME = re.compile(r"[a-z]{2}_[a-z]+")
_BRITISH = ("bf_", "bm_")

# By its file, for as long as somebody has it: each event loop has a synthesiser of its own.
_loaded: WeakValueDictionary[Path, Any] = WeakValueDictionary()
_loading = threading.Lock()


class KokoroSynthesizer:
    """Kokoro's ONNX export behind :class:`voice.tts.base.Synthesizer`.

    The model is loaded once a process. Clauses of all callers wait in one first-come queue,
    one clause a caller at a time, so that a long text does not keep others waiting. Nothing
    blocks the event loop. Closing an iterator stops before its next clause.

    Args:
        models_dir: Where ``fetch_models`` put the weights.
        threads: Threads of one inference; 0 takes the cores, at most four.
        parallel: Inferences at once.
    """

    name = "local"
    capabilities = SynthesizerCapabilities(
        sample_rate=SAMPLE_RATE, streaming=True, max_characters=MAX_CHARACTERS
    )

    def __init__(self, models_dir: Path, *, threads: int = 0, parallel: int = 1) -> None:
        self._directory = models_dir / "kokoro"
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._workers = ThreadPoolExecutor(parallel, thread_name_prefix="kokoro")
        self._session: Any = None
        self._styles: dict[str, npt.NDArray[np.float32]] = {}

    async def warm(self) -> None:
        """Load the model and the dictionaries now (3 to 5 s) instead of at the first use.

        Raises:
            ProviderError: The weights are not there (``unavailable``).
        """
        await self._run(self._warm)

    async def synthesize(
        self, text: str, *, voice: VoiceRef, speed: float = 1.0
    ) -> AsyncIterator[bytes]:
        """Speak one segment of text, a clause or some sentences a piece; see the protocol."""
        if len(text) > MAX_CHARACTERS:
            raise self._error(f"the text has {len(text)} characters", "bad_request")
        if not 0.5 <= speed <= 2.0:
            raise self._error(f"speed {speed} is not within 0.5 to 2.0", "bad_request")
        # Only inference queues; what comes before must not wait for other people's clauses.
        style = await asyncio.to_thread(self._style, voice.name)
        for chunk in await asyncio.to_thread(_chunks, text, voice):
            yield await self._run(self._infer, chunk, style, speed)

    async def probe(self) -> None:
        """See `voice.fallback.Probed`."""
        await self.warm()

    async def aclose(self) -> None:
        """Finish the running clause, drop the rest and release the model."""
        await asyncio.to_thread(self._workers.shutdown, cancel_futures=True)
        self._session = None

    async def _run(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work, *arguments)

    def _warm(self) -> None:
        self._model()
        phonemize("预热。 Warm up.")

    def _model(self) -> Any:
        with _loading:
            if self._session is None:
                path = self._directory / "kokoro-v1.0.int8.onnx"
                self._session = _loaded.get(path) or self._load(path)
                _loaded[path] = self._session
            return self._session

    def _load(self, path: Path) -> Any:
        import onnxruntime  # a quarter of a second, for those who use it

        if not path.is_file():
            raise self._missing(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the core from everybody else between two clauses.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # every clause has another length
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no public base of its errors
            raise self._error(f"{path} does not load: {error}", "unavailable") from error

    def _style(self, name: str) -> npt.NDArray[np.float32]:
        """A voice: one style vector for every length in phonemes."""
        if not _VOICE_NAME.fullmatch(name):
            raise self._error(f"no voice {name!r}", "bad_request")
        if name not in self._styles:
            path = self._directory / "voices" / f"{name}.bin"
            if not path.is_file():
                if any(path.parent.glob("*.bin")):
                    raise self._error(f"no voice {name!r}", "bad_request")
                raise self._missing(path)
            self._styles[name] = np.fromfile(path, dtype="<f4").reshape(-1, 1, 256)
        return self._styles[name]

    def _infer(self, phonemes: str, style: npt.NDArray[np.float32], speed: float) -> bytes:
        ids = token_ids(phonemes)
        (audio,) = self._model().run(
            None,
            {
                "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
                "style": style[min(len(ids), len(style) - 1)],
                "speed": np.array([speed], dtype=np.float32),
            },
        )
        return bytes((np.clip(audio, -1.0, 1.0) * 32_767).astype("<i2").tobytes())

    def _missing(self, path: Path) -> ProviderError:
        return self._error(f"{path} is missing; run manage.py fetch_models", "unavailable")

    def _error(self, message: str, reason: Reason) -> ProviderError:
        return ProviderError(message, provider=self.name, reason=reason)


def _chunks(text: str, voice: VoiceRef) -> list[str]:
    phonemes = phonemize(
        text,
        british=voice.name.startswith(_BRITISH),
        chinese_digits=voice.name.startswith("z"),
    )
    return split(phonemes, first=_FIRST_CHUNK, target=_CHUNK)
