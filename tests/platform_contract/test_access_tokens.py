"""Without a good access token nothing is answered but 401."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from tests.platform_contract.speaking import Person, ok, refused

pytestmark = pytest.mark.system

GUARDED = [
    ("POST", "/api/role/add"),
    ("GET", "/api/role/list"),
    ("GET", "/api/role/user/1"),
    ("GET", "/api/role/1"),
    ("PUT", "/api/role/1"),
    ("DELETE", "/api/role/1"),
    ("GET", "/api/auth/me"),
    ("POST", "/api/auth/ws-ticket"),
    ("POST", "/api/auth/logout"),
]


def _forged(server, **changes):
    key = (server.data_dir / "secret_key").read_text()
    now = datetime.now(UTC)
    claims = {
        "token_type": "access",
        "exp": now + timedelta(hours=1),
        "iat": now,
        "jti": "0" * 32,
        "user_id": "1",
        "iss": "liyuan",
    }
    key = changes.pop("key", key)
    return jwt.encode(claims | changes, key, algorithm=changes.pop("algorithm", "HS256"))


@pytest.fixture(scope="module")
def bad_headers(server, alice, http):
    past = datetime.now(UTC) - timedelta(minutes=1)
    out = Person(http)
    ok(out("POST", "/api/auth/logout", json={"refresh": out.session["refresh"]}))
    header, payload, signature = alice.token.split(".")
    return {
        "none": None,
        "empty": "",
        "scheme alone": "Bearer",
        "another scheme": f"Basic {alice.token}",
        "no scheme": alice.token,
        "three words": f"Bearer {alice.token} x",
        "not a token": "Bearer not.a.token",
        "bytes": b"Bearer \xff\xfe.\xff.\xff",
        "very long": "Bearer " + "a" * 6000,
        "expired": f"Bearer {_forged(server, exp=past, user_id=str(alice.id))}",
        "another key": f"Bearer {_forged(server, key='k' * 50, user_id=str(alice.id))}",
        "no signature": f"Bearer {header}.{payload}.",
        "changed": f"Bearer {header}.{payload[:-4]}AAAA.{signature}",
        "algorithm none": "Bearer " + jwt.encode({"user_id": "1"}, None, algorithm="none"),
        "another issuer": f"Bearer {_forged(server, iss='other', user_id=str(alice.id))}",
        "nobody's": f"Bearer {_forged(server, user_id='99999999')}",
        "no revocation claim": f"Bearer {_forged(server, user_id=str(alice.id))}",
        "a refresh token": f"Bearer {alice.session['refresh']}",
        "logged out": f"Bearer {out.token}",
    }


@pytest.mark.parametrize("method_path", GUARDED, ids=" ".join)
def test_without_a_good_token_it_is_401(http, bad_headers, method_path):
    method, path = method_path
    for kind, value in bad_headers.items():
        headers = {} if value is None else {"Authorization": value}
        response = http.request(method, path, headers=headers)
        assert response.status_code == 401, kind
        refused(response, 401, "用户未认证")
        assert response.headers["www-authenticate"].startswith("Bearer"), kind
