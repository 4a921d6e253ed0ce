"""Faster or slower speech at the same pitch."""

from fractions import Fraction

from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NotYet
from av.error import EOFError as Ended
from av.filter import Graph

# One atempo gives at least half the speed; slower needs two of them.
_SLOWEST = 0.5


class TempoChanger:
    """PCM16 mono at another speed, piece by piece: FFmpeg's ``atempo`` (WSOLA).

    Not for use by two threads at once.

    Args:
        sample_rate: Hz of what is fed and of what comes out.
        tempo: 0.25 to 4; 2.0 takes half the time.

    Raises:
        ValueError: The tempo is out of range.
    """

    def __init__(self, sample_rate: int, tempo: float) -> None:
        if not 0.25 <= tempo <= 4.0:
            raise ValueError(f"tempo {tempo} is not within 0.25 to 4")
        self._rate = sample_rate
        self._samples = 0
        graph = Graph()
        source = graph.add_abuffer(
            format="s16",
            sample_rate=sample_rate,
            layout="mono",
            time_base=Fraction(1, sample_rate),
        )
        sink = graph.add("abuffersink")
        steps = [tempo] if tempo >= _SLOWEST else [_SLOWEST, tempo / _SLOWEST]
        filters = [graph.add("atempo", f"{step:.6f}") for step in steps]
        for left, right in zip([source, *filters], [*filters, sink], strict=True):
            left.link_to(right)
        graph.configure()
        self._graph, self._source, self._sink = graph, source, sink

    def feed(self, pcm: bytes) -> bytes:
        """What is ready so far; some 50 ms are held back. ``pcm`` ends with a sample."""
        if not pcm:
            return b""
        frame = AudioFrame("s16", "mono", len(pcm) // 2)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += len(pcm) // 2
        self._source.push(frame)
        return self._pull()

    def flush(self) -> bytes:
        """The rest. The changer is done with afterwards."""
        if not self._samples:
            return b""
        self._source.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        out = bytearray()
        while True:
            try:
                frame = self._sink.pull()
            except (NotYet, Ended):
                return bytes(out)
            assert isinstance(frame, AudioFrame)
            out += bytes(frame.planes[0])[: frame.samples * 2]
