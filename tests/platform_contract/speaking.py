"""What the contract's tests say and hear: a person with a token, the envelope."""

import itertools

HERO = {
    "name": "冒险家",
    "description": "勇敢的冒险者，探索未知世界",
    "gender": "男",
    "age": 30,
    "voice_type": "qiniu_zh_male_wwxkjx",
}
# The fields of a role in a list: the contract's, and ours.
ITEM = ["id", "name", "description", "gender", "age", "voice_type", "created_at"]
MORE = ["tagline", "language", "portrait", "owner_id", "tags", "colors", "preset"]

_numbers = itertools.count(1)


class Person:
    """Somebody registered, and the client with their token."""

    def __init__(self, http):
        self.username = f"person{next(_numbers)}"
        body = {"username": self.username, "password": "pear-garden-9"}
        self.session = ok(http.post("/api/auth/register", json=body))
        self.id = self.session["user"]["id"]
        self.token = self.session["access"]
        self.http = http

    def __call__(self, method, path, **kwargs):
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **kwargs)

    def add(self, **changes):
        body = {**HERO, **changes}
        return ok(self("POST", "/api/role/add", json=body), "角色创建成功")["role_id"]


def ok(response, message="success"):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
    body = response.json()
    assert list(body) == ["code", "message", "data"]
    assert body["code"] == 200
    assert body["message"] == message
    return body["data"]


def refused(response, code, message=None):
    """The envelope of an error; returns its message."""
    assert response.status_code == code, response.text
    assert response.headers["content-type"].startswith("application/json")
    body = response.json()
    assert list(body) == ["code", "message", "data"]
    assert body["code"] == code
    assert body["data"] is None
    assert isinstance(body["message"], str)
    assert body["message"]
    if message is not None:
        assert body["message"] == message
    return body["message"]
