"""The web page as a person uses it: one browser page that notes whatever goes wrong."""

import re
import uuid
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler
from playwright.sync_api import Browser, Page, Request, Response, ViewportSize, expect

from tests.platform import PASSWORD
from tests.processes import ROOT
from tests.servers.voiced import pcm

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

# Controls without an accessible name, and pictures without a text for those who cannot see.
_NAMELESS = """
() => [...document.querySelectorAll('button, a[href], input, select, textarea, img, dialog')]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    if (element.tagName === 'IMG') return !element.hasAttribute('alt');
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join('');
    const by = (element.getAttribute('aria-labelledby') ?? '').split(' ')
      .map((id) => document.getElementById(id)?.textContent ?? '').join('');
    const inside = ['BUTTON', 'A'].includes(element.tagName) ? element.textContent : '';
    return !(element.getAttribute('aria-label') || by || labels || inside).trim();
  })
  .map((element) => element.outerHTML.slice(0, 160))
"""
_DUPLICATE_IDS = """
() => [...document.querySelectorAll('[id]')].map((element) => element.id)
  .filter((id, i, all) => all.indexOf(id) !== i)
"""
_SMALL_TARGETS = """
() => [...document.querySelectorAll('button, select, a.icon-button, nav a')]
  .filter((element) => element.checkVisibility() && !element.closest('.message-foot'))
  .map((element) => [element.getBoundingClientRect(), element])
  .filter(([box]) => box.width > 0 && (box.height < 35.5 || box.width < 35.5))
  .map(([box, element]) => `${box.width}x${box.height} ${element.outerHTML.slice(0, 120)}`)
"""


def write_speech(
    path: Path, *, before: float = 1.5, speech: float = 2.0, after: float = 3.0
) -> None:
    """A wav for the browser's fake microphone, which plays it over and over: seconds of
    a quiet room, somebody speaking, the room again."""
    rate = 24_000
    room = np.random.default_rng(3)
    parts = [
        room.normal(0, 20, int(before * rate)),
        np.frombuffer(pcm(speech), "<i2"),
        room.normal(0, 20, int(after * rate)),
    ]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.concatenate(parts).astype("<i2").tobytes())


def spoken(voice: str, begin: float, end: float) -> np.ndarray:
    """Real speech at 24 kHz: so many seconds of the sample of one of our voices."""
    resampler = AudioResampler("s16", "mono", 24_000)
    with av.open(str(ROOT / "static" / "voices" / f"kokoro_{voice}.mp3")) as file:
        frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    pcm = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    return pcm[int(begin * 24_000) : int(end * 24_000)]


def write_call(path: Path, seconds: float, utterances: Mapping[float, np.ndarray]) -> None:
    """A wav for the fake microphone: a quiet room of so many seconds, in which somebody says
    each utterance (24 kHz) so many seconds after the microphone was opened."""
    room = np.random.default_rng(3).normal(0, 20, int(seconds * 24_000))
    for begin, speech in utterances.items():
        at = int(begin * 24_000)
        room[at : at + len(speech)] += speech
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(np.clip(room, -32_768, 32_767).astype("<i2").tobytes())


@dataclass
class Visit:
    """One person's browser window.

    Attributes:
        problems: Console errors, uncaught exceptions, failed requests and answers of 400
            and above, in order.
        refused: Statuses that a test brings about on purpose.
    """

    page: Page
    base_url: str
    pictures: Path
    problems: list[str] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)

    @classmethod
    def begin(cls, browser: Browser, base_url: str, pictures: Path, **options: Any) -> "Visit":
        """Open a window; ``options`` are those of ``new_context``."""
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(20_000)
        visit = cls(context.new_page(), base_url, pictures)
        visit.page.on("console", lambda message: visit._console(message.type, message.text))
        visit.page.on("pageerror", lambda error: visit.problems.append(f"uncaught: {error}"))
        visit.page.on("requestfailed", visit._failed)
        visit.page.on("response", visit._answered)
        return visit

    def _console(self, kind: str, text: str) -> None:
        expected = any(f"status of {status}" in text for status in self.refused)
        if kind in ("error", "warning") and not expected:
            self.problems.append(f"console {kind}: {text}")

    def _failed(self, request: Request) -> None:
        # A page or player that is left gives up what it was loading.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.refused:
            self.problems.append(f"{response.status}: {response.url}")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.base_url}/#{path}")

    def register(self) -> str:
        """A new account; ends in the gallery. Returns the user's name."""
        name = f"u{uuid.uuid4().hex[:10]}"
        self.go("/register")
        self.page.locator("input[name=username]").fill(name)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.page.locator("button[type=submit]").click()
        self.page.locator(".card").first.wait_for()
        return name

    def meet(self, name: str) -> None:
        """Go to a character's conversation from the gallery."""
        self.page.locator(".card-link", has_text=name).click()
        self.page.locator(".message").first.wait_for()

    def say(self, text: str) -> None:
        self.page.locator(".composer textarea").fill(text)
        self.page.keyboard.press("Enter")

    def lines(self, author: str) -> list[str]:
        """What stands in the log by ``user`` or ``character``, oldest first."""
        return self.page.locator(f".message.from-{author} .prose").all_inner_texts()

    def wait_for_replies(self, count: int) -> None:
        """Until so many of the character's messages are complete, the greeting included."""
        done = self.page.locator('.from-character[data-status="done"]')
        expect(done).to_have_count(count, timeout=30_000)

    def check(self, picture: str) -> None:
        """Take a picture; nothing may lack a name or stick out of the window."""
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        self.page.screenshot(path=self.pictures / f"{picture}-{width}.png", animations="disabled")
        assert self.page.evaluate(_NAMELESS) == []
        assert self.page.evaluate(_DUPLICATE_IDS) == []
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width
        if width <= PHONE["width"]:
            assert self.page.evaluate(_SMALL_TARGETS) == []

    def end(self) -> None:
        """Nothing went wrong that should not have."""
        assert self.problems == []
        self.page.context.close()

    def conversation_id(self) -> int:
        found = re.search(r"#/(?:c|call)/(\d+)", self.page.url)
        assert found, self.page.url
        return int(found[1])

    def stored(self) -> list[dict[str, Any]]:
        """The messages of the conversation on screen, as the server has them."""
        answer = self.page.evaluate(
            """async (id) => {
              const { access } = JSON.parse(localStorage.getItem('liyuan.session'));
              const headers = { Authorization: `Bearer ${access}` };
              const answer = await fetch(`/api/conversations/${id}/messages`, { headers });
              return (await answer.json()).data.list;
            }""",
            self.conversation_id(),
        )
        assert isinstance(answer, list)
        return answer
