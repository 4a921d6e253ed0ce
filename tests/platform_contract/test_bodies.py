"""Bodies that are no JSON object, too large, or of another kind."""

import pytest

from tests.platform_contract.speaking import HERO, refused

pytestmark = pytest.mark.system

NOT_JSON = "参数错误: 请求体不是有效的 JSON"
NO_OBJECT = "参数错误: 请求体必须是 JSON 对象"
BAD_BODIES = [
    (b"{", NOT_JSON),
    (b"{'name': 1}", NOT_JSON),
    (b"\xff\xfe\x00", NOT_JSON),
    (b'{"age": NaN}', NOT_JSON),
    (b'{"age": ' + b"9" * 5000 + b"}", NOT_JSON),
    (b"[" * 200_000, NOT_JSON),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, NOT_JSON),
    (b"[]", NO_OBJECT),
    (b'[{"name": "x"}]', NO_OBJECT),
    (b'"text"', NO_OBJECT),
    (b"null", NO_OBJECT),
    (b"true", NO_OBJECT),
    (b"7", NO_OBJECT),
]


@pytest.mark.parametrize(("body", "message"), BAD_BODIES, ids=[b[:12] for b, _ in BAD_BODIES])
@pytest.mark.parametrize("path", ["/api/role/add", "/api/role/{id}", "/api/auth/login"])
def test_a_body_that_is_no_json_object_is_400(alice, path, body, message):
    method = "PUT" if "{id}" in path else "POST"
    path = path.format(id=alice.add())
    response = alice(method, path, content=body, headers={"Content-Type": "application/json"})
    refused(response, 400, message)


def test_an_empty_body_lacks_every_member(alice):
    response = alice("POST", "/api/role/add", headers={"Content-Type": "application/json"})
    assert "缺少名称" in refused(response, 400)


@pytest.mark.parametrize("charset", ["utf-16", "zlib", "bz2_codec", "nonsense", "idna"])
def test_the_charset_a_client_names_does_no_harm(alice, charset):
    response = alice(
        "POST",
        "/api/role/add",
        content=b'{"name": 5}',
        headers={"Content-Type": f"application/json; charset={charset}"},
    )
    assert response.status_code == 400
    refused(response, 400)


@pytest.mark.parametrize("method_path", ["POST /api/role/add", "PUT /api/role/{id}"])
@pytest.mark.parametrize("chunked", [False, True])
def test_two_megabytes_are_413(alice, method_path, chunked):
    method, path = method_path.format(id=alice.add()).split()
    body = b'{"name": "' + b"x" * 2 * 2**20 + b'"}'
    pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
    response = alice(
        method,
        path,
        content=pieces if chunked else body,
        headers={"Content-Type": "application/json"},
    )
    refused(response, 413, "请求内容过大")


FORM = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"{}"),
        ("application/xml", b"<role/>"),
        ("multipart/form-data; boundary=x", FORM),
        ("nonsense", b"{}"),
        ("", b"{}"),
    ],
)
@pytest.mark.parametrize("method_path", ["POST /api/role/add", "PUT /api/role/{id}"])
def test_another_content_type_is_415(alice, method_path, content_type, body):
    method, path = method_path.format(id=alice.add()).split()
    response = alice(method, path, content=body, headers={"Content-Type": content_type})
    refused(response, 415, "不支持的内容类型")


def test_a_form_is_415(alice):
    refused(alice("POST", "/api/role/add", data=HERO), 415, "不支持的内容类型")
