"""Sessions in figures."""

from prometheus_client import REGISTRY

from realtime.metrics import Figures


def open_sessions() -> float:
    return REGISTRY.get_sample_value("liyuan_realtime_sessions") or 0.0


def test_a_session_counts_while_it_is_open():
    before = open_sessions()
    figures, never_begun = Figures(lambda: 0.0), Figures(lambda: 0.0)
    assert open_sessions() == before
    figures.began()
    assert open_sessions() == before + 1
    never_begun.ended()  # its socket broke before it was accepted
    assert open_sessions() == before + 1
    figures.ended()
    figures.ended()
    assert open_sessions() == before
