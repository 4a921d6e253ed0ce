"""Whatever goes wrong, what leaves the server below ``/api/`` is the envelope."""

import logging

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpResponse
from django.test import Client
from django.urls import include, path
from rest_framework import exceptions
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.fields import worded

SECRET = "the vault's number is 4711"


class Faulty(APIView):
    permission_classes = [AllowAny]
    authentication_classes = []
    throttle_classes = []

    def get(self, request, kind):
        raise ERRORS[kind]


class Fine(Faulty):
    success_messages = {"get": "never: views have no action"}

    def get(self, request):
        return Response({"list": ["冒险家", None, 1.5]})


def plain(request, kind):
    raise ERRORS[kind]


def html(request):
    return HttpResponse("<h1>Bad gateway</h1>", status=502)


ERRORS = {
    "bug": RuntimeError(SECRET),
    "database": OperationalError(SECRET),
    "validation": exceptions.ValidationError({"age": ["太大。"], "name": ["太短"]}),
    "nested": exceptions.ValidationError({"tags": {0: ["太长"]}, "non_field_errors": ["乱"]}),
    "worded": exceptions.ValidationError(worded("年龄必须在0-120之间")),
    "404": Http404(),
    "404 worded": Http404("角色不存在"),
    "404 django": Http404("No Role matches the given query."),
    "403": PermissionDenied(SECRET),
    "403 worded": exceptions.PermissionDenied(worded("不可以")),
    "403 drf": exceptions.PermissionDenied("You do not have permission"),
    "401": exceptions.AuthenticationFailed("token_not_valid"),
    "429": exceptions.Throttled(wait=7.2),
    "suspicious": SuspiciousOperation(SECRET),
}
EXPECTED = {
    "bug": (500, "服务器内部错误"),
    "database": (500, "服务器内部错误"),
    "validation": (400, "参数错误: age: 太大; name: 太短"),
    "nested": (400, "参数错误: 0: 太长; 乱"),
    "worded": (400, "参数错误: 年龄必须在0-120之间"),
    "404": (404, "资源不存在"),
    "404 worded": (404, "角色不存在"),
    "404 django": (404, "资源不存在"),
    "403": (403, "没有权限"),
    "403 worded": (403, "不可以"),
    "403 drf": (403, "没有权限"),
    "401": (401, "用户未认证"),
    "429": (429, "请求过于频繁，请稍后再试"),
}
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
urlpatterns = [
    path("api/faulty/<kind>", Faulty.as_view()),
    path("api/fine", Fine.as_view()),
    path("api/plain/<kind>", plain),
    path("api/html", html),
    path("", include("config.urls")),
]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


def refused(response, code, message):
    assert response.status_code == code
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"code": code, "message": message, "data": None}


def test_success(client):
    response = client.get("/api/fine")
    assert response.json() == {
        "code": 200,
        "message": "success",
        "data": {"list": ["冒险家", None, 1.5]},
    }
    assert "冒险家" in response.text  # characters, not escapes


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_error_of_a_view(client, kind):
    refused(client.get(f"/api/faulty/{kind}"), *EXPECTED[kind])


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("kind", ["bug", "database"])
@pytest.mark.parametrize("where", ["faulty", "plain"])
def test_a_failure_is_in_the_log_and_not_in_the_answer(
    client, settings, caplog, kind, where, debug
):
    settings.DEBUG = debug
    with caplog.at_level(logging.ERROR):
        response = client.get(f"/api/{where}/{kind}")
    refused(response, 500, "服务器内部错误")
    assert SECRET not in response.text
    assert any(record.exc_info and SECRET in str(record.exc_info[1]) for record in caplog.records)


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [("404", 404, "资源不存在"), ("403", 403, "没有权限"), ("suspicious", 400, "参数错误")],
)
@pytest.mark.parametrize("debug", [False, True])
def test_django_s_own_error_pages_do_not_come_through(client, settings, kind, code, message, debug):
    settings.DEBUG = debug
    response = client.get(f"/api/plain/{kind}")
    refused(response, code, message)
    assert SECRET not in response.text


def test_html_below_api_becomes_json(client):
    refused(client.get("/api/html"), 502, "服务器内部错误")


@pytest.mark.parametrize("debug", [False, True])
def test_an_unknown_path_in_debug_too(client, settings, debug):
    settings.DEBUG = debug
    refused(client.get("/api/none"), 404, "资源不存在")


def test_outside_of_api_a_missing_page_is_404(client):
    assert client.get("/none").status_code == 404


def test_retry_after_is_whole_seconds_rounded_up(client):
    assert client.get("/api/faulty/429").headers["retry-after"] == "8"


def test_401_says_how_to_authenticate(client):
    assert client.get("/api/faulty/401").headers["www-authenticate"].startswith("Bearer")


def test_the_language_of_the_request(client):
    english = {"Accept-Language": "en"}
    message = client.get("/api/faulty/bug", headers=english).json()["message"]
    assert message == "Internal server error"
    assert client.get("/api/none", headers=english).json()["message"] == "Not found"
    assert client.get("/api/html", headers=english).json()["message"] == "Internal server error"
    assert client.get("/api/html").json()["message"] == "服务器内部错误"
