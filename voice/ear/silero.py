"""Silero VAD version 6: one frame each of many lines in one inference."""

import functools
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 512
FRAME_MS = 32
CONTEXT_SAMPLES = 64  # of the frame before, in front of each frame
STATE_SIZE = 128

Floats = npt.NDArray[np.float32]

# The published graph runs the frames of one signal after another: they lie along the time of
# its LSTM. We run one frame of each line: they have to lie along the LSTM's batch. All that
# differs is how the axes are turned before the LSTM, and that the shapes of its state allow
# one signal only. What comes out for a line is the same, to the bit.
_IN_TIME, _IN_BATCH = b"\x40\x00\x40\x02\x40\x01", b"\x40\x02\x40\x00\x40\x01"
_ONE_STATE = b"\x0a\x02\x08\x01\x0a\x02\x08\x01\x0a\x03\x08\x80\x01"
_ANY_STATES = b"\x0a\x02\x08\x01\x0a\x02\x1a\x00\x0a\x03\x08\x80\x01"

_loading = threading.Lock()


class DetectorUnavailableError(Exception):
    """The network cannot be loaded; the message says why."""


class Silero:
    """The network. Has no state of its own; any thread may call it at any time.

    Args:
        path: The published ONNX file.

    Raises:
        DetectorUnavailableError: It is not there, or another one than we know, or what runs
            it does not load.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime  # a quarter of a second, for those who use it

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1  # a batch takes less than a millisecond
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.log_severity_level = 3
            graph = _over_lines(path.read_bytes())
            self._session: Any = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
            silence = np.zeros((2, CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
            state = np.zeros((1, 2, STATE_SIZE), np.float32)
            speech, *_ = self.run(silence, state, state)
        except Exception as error:  # a broken wheel; of its errors there is no public base
            raise DetectorUnavailableError(f"{path} does not load: {error}") from error
        if speech.shape != (2,):
            raise DetectorUnavailableError(f"{path} does not take the frames of many lines")

    def run(self, frames: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats, Floats]:
        """The next frame of n lines.

        Args:
            frames: n × 576: the last 64 samples of the frame before, and 512 new ones at
                16 000 Hz, -1 to 1.
            hidden: 1 × n × 128: the state that the frame before left; zeros at first.
            cell: Likewise.

        Returns:
            n probabilities of speech, and the new states.
        """
        speech, hidden, cell = self._session.run(None, {"input": frames, "h": hidden, "c": cell})
        return speech, hidden, cell


def load() -> Silero:
    """The network of this process, loaded at the first call (a quarter of a second).

    Raises:
        DetectorUnavailableError: It cannot be had.
    """
    with _loading:
        return _load()


@functools.cache
def _load() -> Silero:
    package = importlib.util.find_spec("faster_whisper")  # which is not imported by this
    if package is None or not package.submodule_search_locations:
        raise DetectorUnavailableError("faster-whisper, which brings the network, is missing")
    return Silero(Path(package.submodule_search_locations[0], "assets", "silero_vad_v6.onnx"))


def _over_lines(graph: bytes) -> bytes:
    if graph.count(_IN_TIME) != 1 or graph.count(_ONE_STATE) < 2:
        raise DetectorUnavailableError("it is not the graph of Silero VAD 6")
    return graph.replace(_IN_TIME, _IN_BATCH).replace(_ONE_STATE, _ANY_STATES)
