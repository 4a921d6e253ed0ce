"""What stands at ``/metrics``, as a test reads it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Figures:
    """All samples of one scrape."""

    samples: list[tuple[str, dict[str, str], float]]

    def total(self, sample: str, **labels: str) -> float:
        """The sum over all processes, and over labels that are not given."""
        return sum(
            value
            for name, found, value in self.samples
            if name == sample and labels.items() <= found.items()
        )

    def by(self, sample: str, label: str, **labels: str) -> dict[str, float]:
        """Such sums by the values of a label; those that are 0 are left out."""
        values = {found.get(label, "") for name, found, _value in self.samples if name == sample}
        sums = {value: self.total(sample, **{label: value}, **labels) for value in values}
        return {value: total for value, total in sums.items() if total}

    @property
    def names(self) -> set[str]:
        return {name for name, _labels, _value in self.samples}


def scrape(base_url: str, token: str = "") -> Figures:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(f"{base_url}/metrics", headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return Figures([(s.name, s.labels, s.value) for family in families for s in family.samples])


def figures_when(
    base_url: str, ready: Callable[[Figures], bool], seconds: float = 20, token: str = ""
) -> Figures:
    """The figures, once they fulfil a condition: what ended a moment ago is counted soon."""
    until = time.monotonic() + seconds
    while not ready(figures := scrape(base_url, token)):
        assert time.monotonic() < until, sorted(
            (name, labels, value)
            for name, labels, value in figures.samples
            if "liyuan_" in name and "_bucket" not in name
        )
        time.sleep(0.2)
    return figures
