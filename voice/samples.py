"""What a person hears before choosing a voice: the vendor's sample, or one of ours.

Where the vendor has none, the voice speaks a sentence the first time that somebody asks,
and the file is kept in media storage. Its name follows from all that makes it sound as it
does, so a kept sample never grows stale.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.cache import cache

from accounts.database import in_database_thread
from voice import catalogue, speech, storage
from voice.attempts import collected
from voice.audio.codecs import Mp3Encoder
from voice.catalogue import Entry, VoiceNotServed
from voice.errors import ProviderError
from voice.models import EVERY_LANGUAGE

logger = logging.getLogger(__name__)

_LINES: dict[str, str] = json.loads(
    (Path(__file__).parent / "data" / "sample_lines.json").read_text(encoding="utf-8")
)
_BIT_RATE = 40  # kbit/s
_SECONDS = 30.0  # to speak one sentence
_POLL = 0.2  # seconds between looks at what another process makes

_making: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[bytes]]]
_making = WeakKeyDictionary()


class UnknownSample(LookupError):
    """No voice on offer has a sample of this name."""


class SampleFailed(Exception):
    """A sample could not be made; nothing was kept. The message is for the log."""


def line(entry: Entry) -> str:
    """The sentence that a voice says: its own, or one in its language."""
    own = _LINES.get(entry.provider_voice) if entry.provider == "local" else None
    return own or _LINES.get(entry.language) or _LINES[EVERY_LANGUAGE]


def address(entry: Entry, providers: Sequence[str]) -> str:
    """Where the sample of a voice is: an absolute URL, or a path of this platform.

    Args:
        entry: One of ``catalogue.offered``.
        providers: Registry names of the synthesisers switched on: where the voice has no
            sample, that of whoever speaks for it is heard.
    """
    if entry.sample_url:
        return entry.sample_url
    heard = _heard(entry, providers)
    return heard.sample_url or f"/samples/{_digest(heard)}.mp3"


async def kept(digest: str) -> bytes | None:
    """A sample (mp3) that was made before. Raises voice.storage.StorageError."""
    try:
        # It is empty for a moment while it is written, and where the disk was full.
        return await storage.read_async(_name(digest)) or None
    except storage.FileMissing:
        return None


async def make(digest: str) -> bytes:
    """Have a voice speak its sample (mp3), and keep it.

    Callers at the same time, in other processes too, share one synthesis; it goes on
    when one of them leaves.

    Args:
        digest: Of an ``address``.

    Raises:
        UnknownSample: Nobody on offer has it.
        SampleFailed: The voice did not speak.
        voice.storage.StorageError: The file could not be kept.
    """
    tasks = _making.setdefault(asyncio.get_running_loop(), {})
    if (task := tasks.get(digest)) is None:
        task = tasks[digest] = asyncio.create_task(_make(digest))
        task.add_done_callback(lambda done: _made(tasks, digest, done))
    return await asyncio.shield(task)


def _made(tasks: dict[str, asyncio.Task[bytes]], digest: str, task: asyncio.Task[bytes]) -> None:
    del tasks[digest]
    if not task.cancelled():
        task.exception()  # whoever still waits is told; nobody else is


async def _make(digest: str) -> bytes:
    entry = await in_database_thread(_entry, digest)
    claim = f"sample:{digest}"
    while not await cache.aadd(claim, True, timeout=2 * _SECONDS):  # noqa: ASYNC110 - no event
        await asyncio.sleep(_POLL)
    try:
        # Whoever had the claim before may have made it.
        if (sample := await kept(digest)) is not None:
            return sample
        sample = await _speak(entry)
        await asyncio.to_thread(_keep, _name(digest), sample)
        logger.info("sample of %s made", entry.voice_type)
        return sample
    finally:
        await cache.adelete(claim)


async def _speak(entry: Entry) -> bytes:
    synthesizer = speech.current().synthesizer
    if synthesizer is None:
        raise SampleFailed("no synthesiser is switched on")
    encoder = Mp3Encoder(synthesizer.capabilities.sample_rate, bit_rate=_BIT_RATE)
    sample = b""
    try:
        with collected() as attempts:
            async with asyncio.timeout(_SECONDS):
                async for pcm in synthesizer.synthesize(line(entry), voice=entry.ref()):
                    sample += encoder.encode(pcm)
    except (ProviderError, TimeoutError) as error:
        raise SampleFailed(f"{entry.voice_type}: {error}") from error
    others = {a.provider for a in attempts if a.outcome == "ok"} - {entry.provider}
    if others:
        raise SampleFailed(f"{entry.voice_type}: {', '.join(others)} spoke in its place")
    return sample + encoder.finish()


def _keep(name: str, sample: bytes) -> None:
    storage.delete(name)  # what a process that died left there
    storage.write(name, sample)


def _entry(digest: str) -> Entry:
    """Whose sample this is. Raises UnknownSample."""
    providers = speech.tts_names()
    for entry in catalogue.offered(providers):
        if not entry.sample_url and _digest(heard := _heard(entry, providers)) == digest:
            return heard
    raise UnknownSample(digest)


def _heard(entry: Entry, providers: Sequence[str]) -> Entry:
    """Whose voice a sample has; where nobody speaks at all, as if the local voices did."""
    try:
        return catalogue.speaker(entry.voice_type, providers or ("local",))
    except VoiceNotServed:
        return entry


def _digest(entry: Entry) -> str:
    server = (settings.TTS_BASE_URL, settings.TTS_MODEL) if entry.provider == "openai" else ()
    parts = (entry.provider, entry.provider_voice, line(entry), *server)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _name(digest: str) -> str:
    return f"samples/{digest}.mp3"
