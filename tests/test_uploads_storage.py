"""Stored audio on disk and in S3: keeping, serving, forgetting, and its way to the worker."""

import asyncio
import logging
import uuid
from datetime import timedelta
from typing import get_args

import boto3
import httpcore
import pytest
from asgiref.sync import async_to_sync
from celery import current_app
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone, translation
from moto.server import ThreadedMotoServer

from accounts import services as accounts
from config.storage import media_storage
from tests.audio_samples import FORMATS, sample
from uploads import services, sources
from uploads.checks import foreign_hosts_are_hosts
from uploads.fetch import FetchPolicy, Reason, SafeFetcher
from uploads.models import AudioFile
from uploads.selectors import (
    UnknownAudio,
    audio_by_path,
    audio_read,
    audio_source,
    is_own_url,
)
from uploads.tasks import delete_expired
from voice import storage
from voice.audio.decode import AudioFault

pytestmark = pytest.mark.django_db(transaction=True)
HOME = ["http://testserver"]
DEAD = "s3://media?endpoint=http://127.0.0.1:9&region=x&access_key=key&secret_key=secret"


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3, on loopback."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def backend_of(url, directory=None):
    return media_storage(url, secret_key="", directory=directory, base_url="/uploads/")


class Media:
    """What the tests may do to media storage behind the platform's back."""

    def __init__(self, settings, folder, bucket=None):
        self.settings, self.folder, self.bucket = settings, folder, bucket

    def use(self, backend):
        self.settings.STORAGES = {**self.settings.STORAGES, "default": backend}

    def names(self):
        if self.bucket:
            return sorted(item.key.removeprefix("audio/") for item in self.bucket.objects.all())
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def break_down(self):
        if self.bucket:
            self.use(backend_of(DEAD))
        else:
            self.folder.rename(self.folder.with_name("gone"))
            self.folder.write_text("a file where the folder was")


@pytest.fixture(params=["disk", "s3"])
def media(request, settings, tmp_path):
    if request.param == "disk":
        found = Media(settings, tmp_path / "media")
        found.folder.mkdir()
        backend = backend_of("", found.folder)
    else:
        endpoint, name = request.getfixturevalue("s3"), f"media-{uuid.uuid4().hex}"
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        client = boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint, **keys)
        found = Media(settings, tmp_path, client.create_bucket(Bucket=name))
        backend = backend_of(
            f"s3://{name}?endpoint={endpoint}&region=us-east-1&access_key=key&secret_key=secret"
            "&prefix=audio"
        )
    found.use(backend)
    return found


@pytest.fixture
def user(db):
    return accounts.user_register(username="li", password="pear-garden-1")


@pytest.fixture
def stranger(db):
    return accounts.user_register(username="yuan", password="pear-garden-2")


def store(owner, data=b"0123456789", extension="mp3", origin="upload", days_old=0.0):
    file = services.audio_store(
        owner=owner, data=data, extension=extension, seconds=1.0, origin=origin
    )
    if days_old:
        then = timezone.now() - timedelta(days=days_old)
        AudioFile.objects.filter(pk=file.pk).update(created_at=then)
    return file


# --- Keeping --------------------------------------------------------------------------------


def test_kept_and_read(media, user):
    file = services.audio_store(
        owner=user,
        data=b"sound",
        extension="mp3",
        seconds=2.5,
        origin="reply",
        filename="n" * 300,
    )
    file.refresh_from_db()
    assert (file.size, file.seconds, file.origin) == (5, 2.5, "reply")
    assert file.filename == "n" * 255
    assert len(file.token) == 32
    assert int(file.token, 16) >= 0
    assert media.names() == [file.name]
    assert audio_read(file) == b"sound"


def test_an_unknown_origin(media, user):
    with pytest.raises(ValueError):
        store(user, origin="elsewhere")
    assert media.names() == []


def test_a_row_that_fails_leaves_no_file(media, user):
    gone = accounts.User.objects.get(pk=user.pk)
    user.delete()  # in the moment between decoding and the row
    with pytest.raises(IntegrityError):
        store(gone)
    assert media.names() == []
    assert not AudioFile.objects.exists()


def test_storage_that_fails_leaves_no_row(media, user):
    media.break_down()
    with pytest.raises(storage.StorageError):
        store(user)
    assert not AudioFile.objects.exists()


def test_a_file_that_is_gone(media, user):
    file = store(user)
    default_storage.delete(file.name)
    with pytest.raises(storage.FileMissing):
        audio_read(file)
    storage.delete(file.name)  # no error


def test_a_row_that_stays_keeps_its_file(media, user):
    file = store(user)
    with pytest.raises(RuntimeError), transaction.atomic():
        file.delete()
        raise RuntimeError
    assert media.names() == [AudioFile.objects.get().name]
    AudioFile.objects.get().delete()
    assert media.names() == []


# --- Forgetting -----------------------------------------------------------------------------


def test_what_is_too_old_goes(media, user, settings, monkeypatch):
    settings.UPLOAD_RETENTION_DAYS = 7
    monkeypatch.setattr(services, "_BATCH", 2)
    for _ in range(3):
        store(user, days_old=7.01)
        store(user, days_old=100, origin="reply")
    young = [store(user), store(user, days_old=6.99), store(user, origin="reply")]
    assert services.audio_delete_expired(timezone.now()) == 6
    assert set(AudioFile.objects.all()) == set(young)
    assert media.names() == sorted(file.name for file in young)
    assert services.audio_delete_expired(timezone.now()) == 0


def test_nothing_goes_where_it_is_kept_for_ever(media, user, settings):
    settings.UPLOAD_RETENTION_DAYS = 0
    store(user, days_old=10_000)
    assert services.audio_delete_expired(timezone.now()) == 0
    assert len(media.names()) == 1


def test_a_run_that_was_cut_off_is_finished_by_the_next(media, user):
    file = store(user, days_old=1000)
    default_storage.delete(file.name)
    assert services.audio_delete_expired(timezone.now()) == 1
    assert not AudioFile.objects.exists()


def test_a_file_that_cannot_be_deleted_keeps_its_row(media, user, caplog):
    store(user, days_old=1000)
    media.break_down()
    assert services.audio_delete_expired(timezone.now()) == 0
    assert AudioFile.objects.count() == 1
    assert "stays in storage" in caplog.text


def test_the_task_is_the_one_that_beat_calls(media, user, settings):
    store(user, days_old=1000)
    name = settings.CELERY_BEAT_SCHEDULE["uploads-retention"]["task"]
    task = current_app.tasks[name]
    assert task.name == delete_expired.name
    assert task.acks_late
    for _ in range(2):
        task.apply(throw=True)
    assert not AudioFile.objects.exists()
    assert media.names() == []


# --- Serving --------------------------------------------------------------------------------


def get(file, method="get", **headers):
    path = file if isinstance(file, str) else file.path
    return getattr(Client(), method)(path, headers=headers)


def body(response) -> bytes:
    if not response.streaming:
        return response.content

    async def join():
        return b"".join([piece async for piece in response.streaming_content])

    return async_to_sync(join)()


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file(media, user, name):
    _muxer, _codec, extension, mime = FORMATS[name]
    data = sample(name)
    file = store(user, data, extension)
    response = get(file)
    assert response.status_code == 200
    assert body(response) == data
    expected = {
        "Content-Type": mime,
        "Content-Length": str(len(data)),
        "Content-Disposition": f'inline; filename="{file.name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=86400, immutable",
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.token}"',
    }
    assert {name: response.headers[name] for name in expected} == expected
    head = get(file, "head")
    assert {name: head.headers[name] for name in expected} == expected
    assert head.content == b""


def test_a_file_of_several_pieces(media, user):
    data = bytes(range(256)) * 4000
    file = store(user, data)
    assert body(get(file)) == data
    assert body(get(file, Range="bytes=300000-900000")) == data[300_000:900_001]


@pytest.mark.parametrize(
    ("wanted", "content", "content_range"),
    [
        ("bytes=0-1", b"01", "bytes 0-1/10"),  # how Safari begins
        ("bytes=0-", b"0123456789", "bytes 0-9/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=9-9", b"9", "bytes 9-9/10"),
        ("bytes=4-1000", b"456789", "bytes 4-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-1000", b"0123456789", "bytes 0-9/10"),
        ("Bytes = 2-3", b"23", "bytes 2-3/10"),
    ],
)
def test_a_part(media, user, wanted, content, content_range):
    response = get(store(user), Range=wanted)
    assert response.status_code == 206
    assert body(response) == content
    assert response.headers["Content-Range"] == content_range
    assert response.headers["Content-Length"] == str(len(content))
    assert response.headers["Content-Type"] == "audio/mpeg"


@pytest.mark.parametrize(
    "wanted",
    ["bytes=10-", "bytes=5-2", "bytes=-0", "bytes=-", "bytes=", "bytes=a-b", "bytes=+1-2",
     "bytes=1-2-3", "bytes=٣-٤", "bytes=" + "9" * 5000 + "-"],
)  # fmt: skip
def test_a_part_that_is_not_there(media, user, wanted):
    response = get(store(user), Range=wanted)
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */10"
    assert response.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "lines=1-2", "none", "0-1"])
def test_other_ranges_are_answered_with_the_whole(media, user, wanted):
    response = get(store(user), Range=wanted)
    assert (response.status_code, body(response)) == (200, b"0123456789")
    assert "Content-Range" not in response.headers


def test_conditions(media, user):
    file = store(user)
    tag = f'"{file.token}"'
    known = get(file, **{"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["ETag"] == tag
    assert get(file, **{"If-None-Match": '"other"'}).status_code == 200
    assert get(file, **{"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
    assert get(file, **{"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200


@pytest.mark.parametrize("debug", [False, True])
def test_names_that_lead_nowhere(media, user, settings, debug):
    settings.DEBUG = debug
    file = store(user)
    default_storage.save("secret.txt", default_storage.open(file.name))
    default_storage.save(f"{'1' * 32}.mp3", default_storage.open(file.name))
    for name in (
        "",
        "secret.txt",
        f"{'1' * 32}.mp3",  # a file without a row
        f"{'0' * 32}.mp3",
        f"{file.token}.wav",
        f"{file.token}.html",
        f"{file.token}.mp3/",
        f"{file.token}.mp3%0A",
        f"{file.token}.MP3",
        f"{file.token.upper()}.mp3" if not file.token.isdigit() else "x",
        file.token,
        f"../uploads/{file.name}x",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%5c..%5cboot.ini",
        "%00",
        "名.mp3",
    ):
        for method in ("get", "head"):
            response = get(f"/uploads/{name}", method)
            assert response.status_code == 404, name
            assert response.headers["Content-Type"] == "text/plain", name
            assert b"<" not in response.content


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_files_are_only_read(media, user, method):
    response = get(store(user), method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert len(media.names()) == 1


def test_a_row_without_a_file(media, user):
    file = store(user)
    default_storage.delete(file.name)
    assert get(file).status_code == 404


def test_storage_that_is_down_while_serving(media, user):
    file = store(user)
    media.break_down()
    response = get(file)
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "text/plain"


# --- Whose it is ----------------------------------------------------------------------------


def urls_of(file):
    return [
        file.path,
        f"http://testserver{file.path}",
        f"http://testserver:80{file.path}",
        f"HTTP://TestServer.{file.path}",
        f"https://testserver{file.path}",  # a proxy in front has taken TLS off
        f"https://pear.example/garden{file.path}",
        f"{file.path}?t=1#x",
    ]


def test_the_owner_finds_it_by_any_form_of_its_url(media, user):
    file, bases = store(user), [*HOME, "https://pear.example/garden/"]
    for url in urls_of(file):
        assert audio_by_path(user=user, url=url, base_urls=bases) == file, url
        assert audio_source(user=user, url=url, base_urls=bases) == file.name, url


def test_nobody_else_does(media, user, stranger):
    file, bases = store(user), [*HOME, "https://pear.example/garden/"]
    for url in urls_of(file):
        assert audio_by_path(user=stranger, url=url, base_urls=bases) is None
        with pytest.raises(UnknownAudio):
            audio_source(user=stranger, url=url, base_urls=bases)


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/uploads/",
        "/uploads/1.mp3",
        f"/uploads/{'0' * 32}.mp3",
        f"/uploads/../uploads/{'0' * 32}.mp3",
        "http://testserver/admin/",
        "http://user:password@testserver/uploads/x",
    ],
)
def test_ours_but_no_audio(media, user, url):
    assert is_own_url(url, HOME)
    with pytest.raises(UnknownAudio):
        audio_source(user=user, url=url, base_urls=HOME)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.mp3",
        "http://testserver:8080/uploads/a.mp3",
        "http://testserver.example.org/uploads/a.mp3",
        "http://testserver@example.org/uploads/a.mp3",
        "//testserver/uploads/a.mp3",
        "ftp://testserver/uploads/a.mp3",
        "file:///uploads/a.mp3",
        "javascript:alert(1)",
        "http://[::1",
        "http://testserver:99999/",
        "uploads/a.mp3",
        "",
        "\ud800",
    ],
)
def test_foreign(user, url):
    """Left to the fetcher, which refuses all that is not a public address."""
    assert not is_own_url(url, HOME)
    assert audio_source(user=user, url=url, base_urls=HOME) == url


# --- To the worker --------------------------------------------------------------------------


class Outside(httpcore.AnyIOBackend):
    """One public server: every socket that the fetcher opens leads to this loopback server."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    async def connect_tcp(self, host, port, *args, **kwargs):
        return await super().connect_tcp("127.0.0.1", self.port, *args, **kwargs)

    async def load(self, url="http://93.184.215.14/voice", **policy):
        policy = FetchPolicy(**{"allow_foreign": True, **policy})
        return await sources.load_clip(url, fetcher=SafeFetcher(policy, network=self))


def ok(data: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data


async def failure(awaitable) -> tuple[str, str, int]:
    with pytest.raises(sources.ClipError) as caught:
        await awaitable
    error = caught.value
    assert error.__cause__ is not None
    for language in ("zh-hans", "en"):
        with translation.override(language):
            assert sources.clip_error_message(error.stage, error.reason)
    return error.stage, error.reason, error.code


@pytest.mark.parametrize("name", FORMATS)
def test_an_upload_becomes_pcm(media, user, name):
    file = store(user, sample(name), FORMATS[name][2])
    clip = async_to_sync(sources.load_clip)(file.name)
    assert clip.sample_rate == 16_000
    assert clip.seconds == pytest.approx(1.0, abs=0.1)
    assert len(clip.pcm) == round(clip.seconds * 32_000)


async def test_a_foreign_file_becomes_pcm():
    async with Outside(ok(sample("ogg"))) as outside:
        clip = await outside.load()
    assert (clip.container, clip.sample_rate) == ("ogg", 16_000)
    assert clip.seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (ok(b""), ("decode", "empty", 400)),
        (ok(b"<html>no such file</html>"), ("decode", "not_audio", 400)),
        (ok(sample("flac", 61.0, 8000)), ("decode", "too_long", 400)),
        (ok(bytes(20_000_000)), ("fetch", "too_large", 413)),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ("fetch", "bad_status", 502)),
        (b"not even HTTP", ("fetch", "bad_status", 502)),
    ],
)
async def test_foreign_files_that_are_not_taken(answer, failed):
    async with Outside(answer) as outside:
        assert await failure(outside.load()) == failed


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a.mp3", "http://[::1]/a.mp3", "http://169.254.169.254/latest",
     "http://[::ffff:10.0.0.1]/"],
)  # fmt: skip
async def test_inner_addresses(url):
    answer = await failure(sources.load_clip(url))
    assert answer == ("fetch", "forbidden_address", 502)


@pytest.mark.parametrize("url", ["", "voice.mp3", "//x/y", "../../etc/passwd", "file:///etc/passwd",
                                 f"{'1' * 32}.exe", f"{'1' * 32}.mp3\n"])  # fmt: skip
async def test_what_is_neither_a_name_nor_a_url(url):
    assert await failure(sources.load_clip(url)) == ("fetch", "bad_url", 400)


async def test_the_operators_policy(settings):
    sources.default_fetcher.cache_clear()
    settings.FOREIGN_URLS = False
    try:
        url = "https://example.org/a.mp3"
        assert await failure(sources.load_clip(url)) == ("fetch", "switched_off", 400)
        sources.default_fetcher.cache_clear()
        settings.FOREIGN_URLS, settings.FOREIGN_URL_HOSTS = True, ["cdn.example.org"]
        assert await failure(sources.load_clip(url)) == ("fetch", "forbidden_host", 400)
    finally:
        sources.default_fetcher.cache_clear()


def test_an_upload_that_is_gone(media):
    answer = async_to_sync(failure)(sources.load_clip(f"{'1' * 32}.mp3"))
    assert answer == ("storage", "missing", 404)


def test_storage_that_is_down_for_the_worker(media):
    media.break_down()
    answer = async_to_sync(failure)(sources.load_clip(f"{'1' * 32}.mp3"))
    assert answer == ("storage", "unavailable", 500)


@pytest.mark.parametrize("entry", ["https://cdn.example.org", "a b", "10.0.0.1/8"])
def test_hosts_that_are_none_are_found_at_the_start(settings, entry):
    assert foreign_hosts_are_hosts(None) == []
    settings.FOREIGN_URL_HOSTS = ["cdn.example.org", entry]
    assert [message.id for message in foreign_hosts_are_hosts(None)] == ["uploads.E001"]


def test_every_reason_has_words_in_both_languages():
    reasons = [("storage", "missing"), ("storage", "unavailable")]
    reasons += [("fetch", reason) for reason in get_args(Reason)]
    reasons += [("decode", reason) for reason in get_args(AudioFault)]
    for stage, reason in reasons:
        with translation.override("zh-hans"):
            chinese = sources.clip_error_message(stage, reason)
        with translation.override("en"):
            english = sources.clip_error_message(stage, reason)
        assert not chinese.isascii(), reason
        assert english.isascii(), reason
        assert "%" not in chinese + english
