"""``POST /api/upload_voice``, field by field and byte by byte, and the admin of what it keeps."""

import io
import struct
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import services as accounts
from tests.audio_samples import FORMATS, sample
from uploads.models import AudioFile

URL = "/api/upload_voice"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    disk = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "media", "base_url": "/uploads/"},
    }
    settings.STORAGES = {**settings.STORAGES, "default": disk}
    return tmp_path / "media"


@pytest.fixture
def user():
    return accounts.user_register(username="li", password="pear-garden-1")


@pytest.fixture
def client(user):
    client = APIClient()
    client.credentials(
        HTTP_AUTHORIZATION=f"Bearer {accounts.tokens_issue(user=user).access}",
        HTTP_ACCEPT_LANGUAGE="zh-hans",
    )
    return client


def send(client, data, name="voice.mp3", content_type="audio/mpeg", **headers):
    file = SimpleUploadedFile("x", data, content_type)
    file._name = name  # as the wire has it: Django's own class would tidy it up here already
    return client.post(URL, {"file": file}, format="multipart", headers=headers or None)


def raw_form(*parts, boundary="limit"):
    """A multipart body, byte by byte: (headers of the part, its content)."""
    body = b"".join(
        b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), data)
        for head, data in parts
    )
    return body + b"--%s--\r\n" % boundary.encode()


def send_raw(client, body, content_type="multipart/form-data; boundary=limit"):
    return client.generic("POST", URL, body, content_type=content_type)


def refused(response, media, code, message):
    """The contract's error, and nothing was kept."""
    assert response.status_code == code, response.content
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"code": code, "message": message, "data": None}
    assert not AudioFile.objects.exists()
    assert not media.exists() or not list(media.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_kept_as_it_came(client, user, media, name):
    _muxer, _codec, extension, mime = FORMATS[name]
    data = sample(name)
    response = send(client, data, name="我的录音.bin", content_type="application/pdf")
    file = AudioFile.objects.get()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {
        "message": "文件上传成功",
        "filename": "我的录音.bin",
        "url": f"/uploads/{file.token}.{extension}",
    }
    assert (file.owner, file.origin, file.size) == (user, "upload", len(data))
    assert file.seconds == pytest.approx(1.0, abs=0.1)
    assert (media / file.name).read_bytes() == data
    served = client.get(response.json()["url"])
    assert served.headers["Content-Type"] == mime


def test_tokens_are_never_the_same(client):
    urls = {send(client, sample("mp3")).json()["url"] for _ in range(5)}
    assert len(urls) == 5


# --- Who asks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer forged.token.here", "Basic bGk6cGVhcg=="]
)
def test_without_valid_credentials(media, authorization):
    anonymous = APIClient()
    if authorization:
        anonymous.credentials(HTTP_AUTHORIZATION=authorization)
    response = send(anonymous, sample("mp3"), **{"Accept-Language": "zh-hans"})
    refused(response, media, 401, "用户未认证")


def test_credentials_come_before_the_body(media):
    """A body that no parser could read is not looked at for a stranger."""
    response = send_raw(APIClient(), b"\xff" * 1000, content_type="text/html")
    assert response.status_code == 401


def test_the_wrong_method(client, media):
    refused(client.get(URL), media, 405, "不支持的请求方法")


def test_the_sixty_first_upload_of_a_minute(client):
    answers = [send(client, b"") for _ in range(61)]
    assert {answer.status_code for answer in answers[:60]} == {400}
    assert answers[60].status_code == 429
    assert answers[60].json()["code"] == 429
    assert int(answers[60].headers["Retry-After"]) <= 61


# --- The form -------------------------------------------------------------------------------

MISSING = "参数错误: 缺少文件字段 file"
PART = 'Content-Disposition: form-data; name="file"'


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], MISSING),
        ([('Content-Disposition: form-data; name="audio"; filename="a.mp3"', b"x")], MISSING),
        ([(PART, b"a field, not a file")], MISSING),
        ([(PART + '; filename=""', b"")], MISSING),
        ([(PART + '; filename=".."', b"x")], MISSING),
        ([("X-Other: 1", b"x")], MISSING),
        ([(PART + '; filename="a.mp3"', b"x")] * 2, "参数错误: 一次只能上传一个文件"),
        ([(PART + f'; filename="{n}"', b"x") for n in range(101)], "参数错误: 表单的字段过多"),
        ([(f'Content-Disposition: form-data; name="{n}"', b"") for n in range(1100)],
         "参数错误: 表单的字段过多"),
        ([(PART + '; filename="a.mp3"\r\nContent-Transfer-Encoding: base64', b"!")],
         "参数错误: 请求体不是有效的 multipart 表单"),
    ],
)  # fmt: skip
def test_forms_without_one_file(client, media, parts, message):
    refused(send_raw(client, raw_form(*parts)), media, 400, message)


def test_a_text_field_above_the_limit(client, media):
    body = raw_form(('Content-Disposition: form-data; name="note"', b"n" * (2**20 + 1)))
    refused(send_raw(client, body), media, 413, "请求内容过大")


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=\xff", "; boundary=other"])
def test_boundaries_that_fit_nothing(client, media, boundary):
    response = send_raw(
        client,
        raw_form((PART + '; filename="a.mp3"', sample("mp3"))),
        content_type="multipart/form-data" + boundary,
    )
    assert response.status_code == 400
    assert response.json()["message"] in ("参数错误: 请求体不是有效的 multipart 表单", MISSING)
    assert not AudioFile.objects.exists()


@pytest.mark.parametrize(
    "content_type", ["application/json", "audio/mpeg", "application/x-www-form-urlencoded", "x"]
)
def test_what_is_not_multipart(client, media, content_type):
    refused(send_raw(client, b'{"file": 1}', content_type), media, 415, "不支持的内容类型")


def test_no_body_at_all(client, media):
    refused(client.post(URL), media, 400, MISSING)


def test_a_body_that_breaks_off(client, media):
    body = raw_form((PART + '; filename="a.wav"', sample("wav")))
    refused(send_raw(client, body[: len(body) // 2]), media, 400, MISSING)


# --- The bytes ------------------------------------------------------------------------------

NOT_AUDIO = "参数错误: 文件不是受支持的音频（mp3、wav、m4a、aac、ogg、flac、webm）"
EMPTY, BROKEN = "参数错误: 音频文件是空的", "参数错误: 音频文件已损坏，无法解码"
HTML = b"<html><script>alert(document.domain)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def wav_of(samples: bytes, declared: int | None = None) -> bytes:
    size = len(samples) if declared is None else declared
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE"
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    return head + form + b"data" + struct.pack("<I", size) + samples


def with_archive(audio: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("Evil.class", b"\xca\xfe\xba\xbe")
    return audio + archive.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", EMPTY, id="no bytes"),
        pytest.param(wav_of(b""), EMPTY, id="no samples"),
        pytest.param(b"hello, I am text", NOT_AUDIO, id="text"),
        pytest.param(b"MZ\x90\0" + bytes(4000), NOT_AUDIO, id="executable"),
        pytest.param(b"\x7fELF\2\1\1" + bytes(4000), NOT_AUDIO, id="elf"),
        pytest.param(b"%PDF-1.7\n" + bytes(400), NOT_AUDIO, id="pdf"),
        pytest.param(b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n", NOT_AUDIO, id="playlist"),
        pytest.param(b"ffconcat version 1.0\nfile /etc/passwd\n", NOT_AUDIO, id="concat"),
        pytest.param(HTML, NOT_AUDIO, id="html"),
        pytest.param(SVG, NOT_AUDIO, id="svg"),
        pytest.param(b"ID3\4\0\0\0\0\2\0" + HTML + bytes(4000), NOT_AUDIO, id="html in a tag"),
        pytest.param(b"RIFF\xff\xff\xff\x7fWAVE" + SVG, NOT_AUDIO, id="svg in a riff"),
        pytest.param(with_archive(sample("mp3")), NOT_AUDIO, id="mp3 and archive in one"),
        pytest.param(b"fLaC" + b"\xa5" * 9000, BROKEN, id="flac of garbage"),
        pytest.param(wav_of(bytes(200), declared=90_000), "参数错误: 音频文件不完整", id="cut wav"),
    ],
)
def test_what_is_not_audio(client, media, data, message):
    refused(send(client, data), media, 400, message)


@pytest.mark.parametrize("name", ["wav", "m4a", "flac"])
def test_truncated_files(client, media, name):
    whole = sample(name, seconds=4.0)
    response = send(client, whole[: len(whole) // 2])
    assert response.status_code == 400
    assert response.json()["message"] in (BROKEN, "参数错误: 音频文件不完整")
    assert not AudioFile.objects.exists()


@pytest.mark.parametrize("name", FORMATS)
def test_headers_with_garbage_behind(client, media, name):
    response = send(client, sample(name)[:64] + b"\x5a\xc3\x17" * 20_000)
    # Raw PCM has no wrong bytes: whatever a wav's header speaks of is sound.
    if name == "wav":
        assert response.status_code in (200, 400)
        return
    assert response.status_code == 400, response.content
    assert not AudioFile.objects.exists()


def test_sixty_seconds_are_taken_and_a_little_more_is_not(client, media):
    assert send(client, sample("flac", 60.0, 8000)).status_code == 200
    AudioFile.objects.all().delete()
    (media / next(media.iterdir()).name).unlink()
    response = send(client, sample("flac", 60.5, 8000))
    refused(response, media, 400, "参数错误: 音频过长，最长 60 秒")


def test_two_hours_in_a_small_file(client, media):
    data = sample("flac", 7200.0, 8000, 0)
    assert len(data) < 10 * 2**20
    refused(send(client, data), media, 400, "参数错误: 音频过长，最长 60 秒")


def test_a_file_above_the_size_limit(client, media):
    response = send(client, sample("mp3") + bytes(10 * 2**20))
    refused(response, media, 413, "音频文件过大，最大 10 MiB")


def test_a_smaller_limit_of_the_operator(client, media, settings):
    settings.UPLOAD_MAX_BYTES, settings.UPLOAD_MAX_SECONDS = 2048, 0.5
    refused(send(client, sample("wav")), media, 413, "音频文件过大，最大 0.00195312 MiB")
    settings.UPLOAD_MAX_BYTES = 2**20
    refused(send(client, sample("wav")), media, 400, "参数错误: 音频过长，最长 0.5 秒")


# --- The name -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/absolute/voice.mp3", "voice.mp3"),
        ("voice.mp3.exe", "voice.mp3.exe"),
        ("录音 🎤 №1.mp3", "录音 🎤 №1.mp3"),
        ("a\tb\x00c\x1b[31m.mp3", "abc[31m.mp3"),
        ("gpj\u202e3pm.exe", "gpj3pm.exe"),
        ("<script>alert(1)<script>.mp3", "<script>alert(1)<script>.mp3"),
        ("%2e%2e%2fetc%2fpasswd", "%2e%2e%2fetc%2fpasswd"),
        (".htaccess", ".htaccess"),
        ("CON.mp3", "CON.mp3"),
    ],
)
def test_a_name_is_shown_and_never_used(client, media, wire, shown):
    response = send(client, sample("mp3"), name=wire)
    assert response.status_code == 200, response.content
    assert response.json()["filename"] == shown
    file = AudioFile.objects.get()
    assert response.json()["url"] == f"/uploads/{file.token}.mp3"
    assert [path.name for path in media.iterdir()] == [f"{file.token}.mp3"]


@pytest.mark.parametrize("letter", ["a", "é", "名"])
def test_a_name_of_300_characters(client, letter):
    response = send(client, sample("mp3"), name=letter * 300)
    assert response.json()["filename"] == letter * 255
    assert AudioFile.objects.get().filename == letter * 255


def test_a_name_longer_than_a_part_header_may_be(client, media):
    """No file system has it: 1,200 bytes, where Django reads headers of up to 1,024."""
    message = "参数错误: 请求体不是有效的 multipart 表单"
    refused(send(client, sample("mp3"), name="🎤" * 300), media, 400, message)


# --- Storage that fails ---------------------------------------------------------------------


def test_a_disk_that_takes_nothing(client, media):
    media.parent.mkdir(exist_ok=True)
    media.write_text("where the folder should be")
    response = send(client, sample("mp3"))
    assert response.status_code == 503
    assert response.json() == {"code": 503, "message": "服务暂不可用", "data": None}
    assert not AudioFile.objects.exists()


# --- Admin ----------------------------------------------------------------------------------


@pytest.fixture
def staff_client(db, client, django_user_model):
    root = django_user_model.objects.create_superuser("root", password="pear-garden-1")
    staff = Client()
    staff.force_login(root)
    return staff


def test_the_list_costs_the_same_with_more_rows(
    client, staff_client, django_assert_max_num_queries
):
    page = reverse("admin:uploads_audiofile_changelist")
    send(client, sample("mp3"), name="first.mp3")
    with CaptureQueriesContext(connection) as one:
        text = staff_client.get(page).content.decode()
    cost = len(one)  # the next request empties the log
    assert AudioFile.objects.get().path in text
    assert "<audio controls" in text
    for _ in range(8):
        send(client, sample("mp3"))
    with django_assert_max_num_queries(cost):
        assert staff_client.get(page).status_code == 200


@pytest.mark.parametrize(
    ("query", "found"), [("li", 1), ("other", 0), ("song.mp3", 1), ("TOKEN", 1)]
)
def test_search(client, staff_client, query, found):
    send(client, sample("mp3"), name="song.mp3")
    query = query.replace("TOKEN", AudioFile.objects.get().token)
    response = staff_client.get(reverse("admin:uploads_audiofile_changelist"), {"q": query})
    assert response.context["cl"].result_count == found


def test_filter_by_origin(client, staff_client):
    send(client, sample("mp3"))
    page = reverse("admin:uploads_audiofile_changelist")
    for origin, found in (("upload", 1), ("reply", 0)):
        response = staff_client.get(page, {"origin__exact": origin})
        assert response.context["cl"].result_count == found


def test_nothing_is_added_or_changed_by_hand(client, staff_client):
    send(client, sample("mp3"))
    file = AudioFile.objects.get()
    assert staff_client.get(reverse("admin:uploads_audiofile_add")).status_code == 403
    page = reverse("admin:uploads_audiofile_change", args=[file.pk])
    assert file.path in staff_client.get(page).content.decode()
    assert staff_client.post(page, {"extension": "exe"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_files_go_with_their_rows(client, staff_client, user, media):
    for _ in range(4):
        send(client, sample("mp3"))
    first, second, third, fourth = AudioFile.objects.order_by("pk")
    delete = reverse("admin:uploads_audiofile_delete", args=[first.pk])
    assert staff_client.post(delete, {"post": "yes"}).status_code == 302
    assert not (media / first.name).exists()
    staff_client.post(
        reverse("admin:uploads_audiofile_changelist"),
        {"action": "delete_selected", "_selected_action": [second.pk, third.pk], "post": "yes"},
    )
    assert [path.name for path in media.iterdir()] == [fourth.name]
    user.delete()
    assert not list(media.iterdir())
