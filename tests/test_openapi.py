"""The OpenAPI description says what the API does."""

import pytest
import yaml
from django.core.management import call_command


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("openapi") / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(path))
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_rest_line_of_the_contract_is_described(schema):
    described = {
        (method.upper(), path) for path, item in schema["paths"].items() for method in item
    }
    assert described >= {
        ("GET", "/api/voiceTypes"),
        ("POST", "/api/role/add"),
        ("GET", "/api/role/list"),
        ("GET", "/api/role/user/{user_id}"),
        ("GET", "/api/role/{role_id}"),
        ("PUT", "/api/role/{role_id}"),
        ("DELETE", "/api/role/{role_id}"),
        ("POST", "/api/upload_voice"),
        *(("POST", f"/api/auth/{name}") for name in ("register", "login", "refresh", "logout")),
        ("GET", "/api/auth/me"),
        ("POST", "/api/auth/ws-ticket"),
    }


def test_the_open_ones_are_open_and_the_others_need_a_token(schema):
    open_to_all = {
        path
        for path, item in schema["paths"].items()
        for operation in item.values()
        if {"token": []} not in operation.get("security", [])
    }
    assert open_to_all >= {"/api/voiceTypes", "/api/auth/login", "/api/auth/register"}
    assert not any(path.startswith("/api/role") for path in open_to_all)


def test_the_rules_of_a_role_are_those_of_the_contract(schema):
    role = schema["components"]["schemas"]["Role"]
    assert role["required"] == ["age", "description", "gender", "name", "voice_type"]
    fields = role["properties"]
    assert (fields["name"]["minLength"], fields["name"]["maxLength"]) == (2, 100)
    assert fields["description"]["minLength"] == 10
    assert (fields["age"]["minimum"], fields["age"]["maximum"]) == (0, 120)
    genders = schema["components"]["schemas"][
        fields["gender"]["allOf"][0]["$ref"].rsplit("/", 1)[1]
    ]
    assert genders["enum"] == ["男", "女", "其他", "未知"]
    change = schema["paths"]["/api/role/{role_id}"]["put"]["requestBody"]["content"]
    reference = change["application/json"]["schema"]["$ref"]
    assert "required" not in schema["components"]["schemas"][reference.rsplit("/", 1)[1]]
