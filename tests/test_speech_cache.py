"""Speech that is kept: hits, misses, the store on disk, several loops and processes."""

import asyncio
import hashlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from tests.processes import ROOT, environment, manage
from tests.servers import voiced
from tests.servers.behaviour import Behaviour, Pace
from tests.servers.openai_api import OpenAIServer
from voice.audio.codecs import AudioError
from voice.audio.flac import flac_bytes, flac_pieces
from voice.errors import ProviderError
from voice.fallback import Policy
from voice.models import KeptSpeech
from voice.speech_store import DjangoSpeechStore, name_of, path_of, speech_clean_up, speech_path
from voice.tasks import clean_up_speech
from voice.tts.base import VoiceRef
from voice.tts.cache import CachedSynthesizer, StoreError
from voice.tts.fallback import FallbackSynthesizer
from voice.tts.openai import OpenAISynthesizer

TEXT = "久仰久仰，今日得见，实是幸会。"
PCM = voiced.pcm(voiced.seconds_of(TEXT))
VOICE = VoiceRef("first", "alloy", "zh")
POLICY = Policy(attempts=1, patience=2.0)

pytestmark = pytest.mark.django_db(transaction=True)


class Shelf:
    """A store in memory, for what does not depend on where the speech is kept."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken = False

    async def get(self, key: str) -> bytes | None:
        if self.broken:
            raise StoreError("no shelf")
        return self.files.get(key)

    async def put(self, key: str, file: bytes) -> None:
        if self.broken:
            raise StoreError("no shelf")
        self.files.setdefault(key, file)

    async def discard(self, key: str) -> None:
        self.files.pop(key, None)


@pytest.fixture(autouse=True)
def media(settings, tmp_path) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "media"},
        },
    }
    return


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def second() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


def chain(*servers: OpenAIServer) -> FallbackSynthesizer:
    names = ("first", "second")[: len(servers)]
    return FallbackSynthesizer(
        {
            name: OpenAISynthesizer(server.base_url, "", "m", name=name)
            for name, server in zip(names, servers, strict=True)
        },
        lambda voice, name: VoiceRef(name, "like-it", voice.language),
        POLICY,
    )


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def kept(server: OpenAIServer, shelf: Shelf) -> AsyncIterator[CachedSynthesizer]:
    synthesizer = CachedSynthesizer(chain(server), lambda name: "m", shelf)
    yield synthesizer
    await synthesizer.aclose()


async def say(synthesizer: CachedSynthesizer, text: str = TEXT, **spec) -> bytes:
    given = {"voice": VOICE, **spec}
    said = b"".join([pcm async for pcm in synthesizer.synthesize(text, **given)])
    await synthesizer.flush()
    return said


# The file format


@pytest.mark.parametrize("samples", [1, 2_304, 24_000, 100_001])
@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_what_is_kept_is_the_very_same_samples(samples: int, rate: int) -> None:
    pcm = (voiced.pcm(5) * 2)[: 2 * samples]
    file = flac_bytes(pcm, rate)
    pieces = list(flac_pieces(file, rate))
    assert b"".join(pieces) == pcm
    if samples > 24_000:
        assert len(pieces[0]) < 0.3 * 2 * rate  # the first one comes at once
        assert len(file) < len(pcm)


def test_a_file_that_is_cut_off_or_is_none_is_told() -> None:
    file = flac_bytes(PCM, 24_000)
    for damaged in (file[: len(file) // 2], file[:100], b"fLaC", b"fLaC" * 9, b"RIFF" * 9, b""):
        with pytest.raises(AudioError):
            list(flac_pieces(damaged, 24_000))
    with pytest.raises(AudioError):
        list(flac_pieces(file, 16_000))


# Hits and misses


async def test_what_was_said_once_is_not_synthesised_again(server, kept) -> None:
    assert await say(kept) == PCM
    assert await say(kept) == PCM
    assert server.count("speech", "started") == 1


async def test_a_hit_outlives_its_provider(server, kept) -> None:
    assert await say(kept) == PCM
    await server.__aexit__(None, None, None)
    assert await say(kept) == PCM
    with pytest.raises(ProviderError):
        await say(kept, "这一句没有说过。")
    await server.__aenter__()


@pytest.mark.parametrize("same", [f"  {TEXT}\n", TEXT.replace("，", "，")])
async def test_blanks_around_a_text_make_no_difference(server, kept, same) -> None:
    await say(kept)
    await say(kept, same)
    assert server.count("speech", "started") == 1


async def test_composed_and_decomposed_characters_are_the_same(server, kept) -> None:
    await say(kept, "caf\u00e9")
    await say(kept, "cafe\u0301")
    assert server.count("speech", "started") == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"text": TEXT + "！"},
        {"speed": 1.25},
        {"voice": VoiceRef("first", "nova", "zh")},
        {"voice": VoiceRef("first", "alloy", "en")},
    ],
)
async def test_what_differs_is_synthesised(server, kept, spec) -> None:
    await say(kept)
    await say(kept, **spec)
    assert server.count("speech", "started") == 2


async def test_another_model_is_another_voice(server, shelf) -> None:
    for model in ("one", "two"):
        synthesizer = CachedSynthesizer(chain(server), lambda name, m=model: m, shelf)
        await say(synthesizer)
        await synthesizer.aclose()
    assert len(shelf.files) == 2


async def test_speech_that_breaks_off_is_not_kept(server, kept, shelf) -> None:
    server.next("speech", Behaviour(fault="drop_middle"))
    with pytest.raises(ProviderError):
        await say(kept)
    await kept.flush()
    assert not shelf.files
    assert await say(kept) == PCM


async def test_speech_that_nobody_listens_to_the_end_is_not_kept(server, kept, shelf) -> None:
    server.next("speech", Behaviour(pace=Pace(speech_rate=2)))
    pieces = kept.synthesize(TEXT, voice=VOICE)
    await anext(pieces)
    await pieces.aclose()
    await kept.flush()
    assert not shelf.files
    async with asyncio.timeout(5):
        while not server.count("speech", "cancelled"):
            await asyncio.sleep(0.005)


async def test_a_stand_in_is_kept_as_what_it_is(server, second, shelf) -> None:
    synthesizer = CachedSynthesizer(chain(server, second), lambda name: "m", shelf)
    server.next("speech", Behaviour(status=503))
    assert await say(synthesizer) == PCM
    assert list(shelf.files) == [synthesizer.key(TEXT, VoiceRef("second", "like-it", "zh"))]
    assert [pcm async for pcm in synthesizer.recall(TEXT, voice=VOICE)] == []
    await synthesizer.aclose()


async def test_a_text_that_is_too_long_for_the_chain_is_spoken_piece_by_piece(server, kept) -> None:
    long = TEXT * 400
    assert len(long) > kept.capabilities.max_characters
    first = await say(kept, long)
    assert server.count("speech", "started") == 2
    assert await say(kept, long) == first
    assert server.count("speech", "started") == 2


async def test_misses_at_once_are_all_served_whole(server, kept, shelf) -> None:
    server.always("speech", Behaviour(pace=Pace(tts_first_ms=50)))
    said = await asyncio.gather(*(say(kept) for _ in range(10)))
    assert set(said) == {PCM}
    assert await say(kept) == PCM
    assert len(shelf.files) == 1


async def test_a_store_that_fails_does_not_stop_the_speech(server, kept, shelf) -> None:
    shelf.broken = True
    assert await say(kept) == PCM
    shelf.broken = False
    assert await say(kept) == PCM
    assert server.count("speech", "started") == 2


async def test_a_damaged_file_is_made_anew(server, kept, shelf) -> None:
    await say(kept)
    (key,) = shelf.files
    shelf.files[key] = b"no flac"
    assert await say(kept) == PCM
    assert await say(kept) == PCM
    assert server.count("speech", "started") == 2


async def test_recall_asks_nobody(server, kept) -> None:
    assert [pcm async for pcm in kept.recall(TEXT, voice=VOICE)] == []
    assert server.count("speech", "started") == 0
    await say(kept)
    assert b"".join([pcm async for pcm in kept.recall(TEXT, voice=VOICE)]) == PCM


async def test_without_a_store_nothing_is_kept(server) -> None:
    synthesizer = CachedSynthesizer(chain(server), lambda name: "m", None)
    for _ in range(2):
        assert await say(synthesizer) == PCM
    assert server.count("speech", "started") == 2
    await synthesizer.aclose()


# The store of the platform


@pytest.fixture
def store() -> DjangoSpeechStore:
    return DjangoSpeechStore()


def files() -> set[str]:
    try:
        return set(default_storage.listdir("speech")[1])
    except FileNotFoundError:
        return set()


def keep(store: DjangoSpeechStore, key: str, file: bytes, *, days: float = 0) -> str:
    asyncio.run(store.put(key, file))
    used_at = timezone.now() - timedelta(days=days)
    KeptSpeech.objects.filter(key=key).update(used_at=used_at)
    return hashlib.sha256(file).hexdigest()


def test_files_are_named_by_their_content_and_shared(store) -> None:
    digests = {keep(store, key, b"the same") for key in ("a", "b")}
    assert files() == {f"{digest}.flac" for digest in digests}
    assert len(files()) == 1
    assert asyncio.run(store.get("a")) == asyncio.run(store.get("b")) == b"the same"
    assert asyncio.run(store.get("c")) is None
    assert speech_path("a") == path_of(digests.pop())


def test_the_first_of_two_stays_and_no_file_is_left_over(store) -> None:
    keep(store, "a", b"first")
    keep(store, "a", b"second")
    assert asyncio.run(store.get("a")) == b"first"
    assert len(files()) == 1


@pytest.mark.parametrize("damage", [None, b"", b"half"])
def test_a_lost_or_damaged_file_is_a_miss_and_can_be_kept_again(store, damage) -> None:
    name = name_of(keep(store, "a", b"whole"))
    default_storage.delete(name)
    if damage is not None:
        default_storage.save(name, ContentFile(damage))
    assert asyncio.run(store.get("a")) is None
    assert not KeptSpeech.objects.exists()
    keep(store, "a", b"whole")
    assert asyncio.run(store.get("a")) == b"whole"


def test_event_loops_share_what_is_kept(store) -> None:
    """Two threads with a loop each, writing and reading the same keys."""
    found: list[bytes | None] = []

    async def work() -> None:
        own = DjangoSpeechStore()
        for n in range(20):
            await own.put(f"key {n}", b"%d" % n * 5_000)
            found.append(await own.get(f"key {n}"))

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([b"%d" % n * 5_000 for n in range(20)] * 2)
    assert KeptSpeech.objects.count() == len(files()) == 20


def test_processes_share_what_is_kept(tmp_path) -> None:
    """One process has it spoken; another hears it although the provider is gone."""
    program = """
import asyncio, sys
import django
django.setup()
from voice import speech
from voice.tts.base import VoiceRef
async def main():
    kept = speech.current().kept
    voice = VoiceRef("openai", "alloy", "zh")
    said = b"".join([pcm async for pcm in kept.synthesize(sys.argv[1], voice=voice)])
    await kept.aclose()
    print(len(said))
asyncio.run(main())
"""

    def env(url: str) -> dict[str, str]:
        return environment(
            {
                "DATA_DIR": str(tmp_path),
                "TTS_BASE_URL": url,
                "DJANGO_SETTINGS_MODULE": "config.settings",
            }
        )

    def run(url: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, TEXT],
            cwd=ROOT,
            env=env(url),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout.strip() or done.stderr

    async def main() -> None:
        async with OpenAIServer() as server:
            url = server.base_url
            said = await asyncio.gather(*(asyncio.to_thread(run, url) for _ in range(2)))
            assert said == [str(len(PCM))] * 2
        assert await asyncio.to_thread(run, url) == str(len(PCM))

    manage("migrate", "--verbosity", "0", env=env("http://127.0.0.1:9/v1"))
    asyncio.run(main())


# The clean-up


def test_what_was_not_used_for_long_goes(store, settings) -> None:
    settings.SPEECH_CACHE_DAYS, settings.SPEECH_CACHE_MB = 10, 1
    keep(store, "old", b"old", days=11)
    new = keep(store, "new", b"new", days=9)
    assert speech_clean_up(timezone.now()) == 1
    assert [row.key for row in KeptSpeech.objects.all()] == ["new"]
    assert files() == {f"{new}.flac"}
    assert speech_clean_up(timezone.now()) == 0


def test_a_use_keeps_it(store, settings) -> None:
    settings.SPEECH_CACHE_DAYS = 10
    keep(store, "old", b"old", days=11)
    assert asyncio.run(store.get("old")) == b"old"
    assert speech_clean_up(timezone.now()) == 0


def test_the_least_recently_used_goes_beyond_the_size(store, settings) -> None:
    settings.SPEECH_CACHE_DAYS, settings.SPEECH_CACHE_MB = 0, 1
    for n in range(6):
        keep(store, f"key {n}", bytes([n]) * 300_000, days=6 - n)
    assert speech_clean_up(timezone.now()) == 3
    assert {row.key for row in KeptSpeech.objects.all()} == {"key 3", "key 4", "key 5"}
    assert len(files()) == 3


def test_a_file_stays_while_anything_points_to_it(store, settings) -> None:
    settings.SPEECH_CACHE_DAYS = 10
    keep(store, "old", b"shared", days=11)
    keep(store, "new", b"shared")
    assert speech_clean_up(timezone.now()) == 1
    assert asyncio.run(store.get("new")) == b"shared"


def test_switched_off_all_of_it_goes(store, settings) -> None:
    settings.SPEECH_CACHE_MB = 0
    for n in range(3):
        keep(store, f"key {n}", b"%d" % n)
    clean_up_speech()
    assert not KeptSpeech.objects.exists()
    assert not files()


def test_a_file_that_cannot_be_deleted_is_tried_again(store, settings) -> None:
    settings.SPEECH_CACHE_DAYS = 10
    name = name_of(keep(store, "old", b"old", days=11))
    default_storage.delete(name)
    default_storage.save(f"{name}/in the way", ContentFile(b"x"))  # a folder that is not empty
    assert speech_clean_up(timezone.now()) == 0
    assert KeptSpeech.objects.count() == 1
    default_storage.delete(f"{name}/in the way")
    assert speech_clean_up(timezone.now()) == 1


# Where it is served


def test_kept_speech_is_served_for_ever_and_in_parts(store) -> None:
    file = flac_bytes(PCM, 24_000)
    path = path_of(keep(store, "a", file))
    client = Client()
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"], answer.content) == (200, "audio/flac", file)
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, file[10:20])
    again = client.get(path, headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    assert client.get(path_of("0" * 64)).status_code == 404
    assert client.post(path).status_code == 405


def test_a_damaged_file_is_not_served(store) -> None:
    digest = keep(store, "a", b"whole")
    default_storage.delete(name_of(digest))
    default_storage.save(name_of(digest), ContentFile(b"half"))
    assert Client().get(path_of(digest)).status_code == 404


def test_what_the_operator_deletes_goes_with_its_file(store, admin_client) -> None:
    for n in range(3):
        keep(store, f"key {n}", b"%d" % n)
    first, *others = KeptSpeech.objects.order_by("key").values_list("pk", flat=True)
    admin_client.post(f"/admin/voice/keptspeech/{first}/delete/", {"post": "yes"})
    assert {row.key for row in KeptSpeech.objects.all()} == {"key 1", "key 2"}
    assert len(files()) == 2
    admin_client.post(
        "/admin/voice/keptspeech/",
        {"action": "delete_selected", "_selected_action": others, "post": "yes"},
    )
    assert not KeptSpeech.objects.exists()
    assert not files()
