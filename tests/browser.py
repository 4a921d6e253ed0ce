"""Headless Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserType, sync_playwright

_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


def launch(kind: BrowserType, options: Sequence[str] = ()) -> Browser:
    """The system's Chromium, with further command line options. Fails loudly without one."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    path = path or shutil.which("google-chrome")
    if path is None:
        raise RuntimeError("no Chromium found (Debian: apt-get install chromium)")
    return kind.launch(executable_path=path, args=[*_OPTIONS, *options])


@contextmanager
def chromium(options: Sequence[str] = ()) -> Iterator[Browser]:
    """A Chromium that lives as long as the block; see ``launch``."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium, options)
        yield browser
        browser.close()
