"""``manage.py doctor`` on installations whole, new and broken."""

import socket
import subprocess
import sys

import httpx
import pytest

from tests.platform import loopback_providers
from tests.processes import ROOT, environment, manage
from tests.services import RedisServer


def doctor(values: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--no-color"],
        cwd=ROOT,
        env=environment(values),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def line(report: str, what: str) -> str:
    return next(found for found in report.splitlines() if f"  {what}  " in found)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> dict[str, str]:
    values = {"DATA_DIR": str(tmp_path_factory.mktemp("doctor"))}
    manage("prepare", env=environment(values))
    return values


def test_a_new_installation_wants_to_be_prepared(tmp_path):
    code, report = doctor({"DATA_DIR": str(tmp_path)})
    assert code == 1
    assert "WRONG" in line(report, "database")
    assert "manage.py prepare" in line(report, "database")


def test_without_providers_it_works_and_says_what_is_missing(prepared):
    code, report = doctor(prepared)
    assert code == 0
    assert "WRONG" not in report
    assert "understudy" in line(report, "language model")
    assert "SPEECH is off" in line(report, "recognition")
    assert "12 characters" in line(report, "presets")
    assert "no METRICS_TOKEN: for 127.0.0.0/8, ::1/128 alone" in line(report, "metrics")


def test_missing_weights(prepared, tmp_path):
    code, report = doctor({**prepared, "SPEECH": "on", "MODELS_DIR": str(tmp_path)})
    assert code == 0
    assert "fetch_models" in line(report, "speech")


def test_a_language_model_that_answers(prepared):
    with loopback_providers(api_key="loopback-key") as providers:
        key = {"Authorization": f"Bearer {providers.settings['LLM_API_KEY']}"}
        models = httpx.get(f"{providers.base_url}/models", headers=key).json()["data"]
        values = {**prepared, **providers.settings, "LLM_MODEL": models[0]["id"]}
        code, report = doctor(values)
        assert code == 0
        assert line(report, "language model").startswith("ok")
        code, report = doctor({**values, "LLM_MODEL": "unheard-of"})
        assert code == 0
        assert "unheard-of is not in the server's list" in line(report, "language model")
        code, report = doctor({**values, "LLM_API_KEY": "forged"})
        assert code == 1
        assert "LLM_API_KEY is refused (401)" in line(report, "language model")
        assert "forged" not in report


def test_a_language_model_that_is_away(prepared):
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        code, report = doctor({**prepared, "LLM_BASE_URL": url, "LLM_MODEL": "m"})
    assert code == 1
    assert "LLM_BASE_URL does not answer" in line(report, "language model")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"LLM_BASE_URL": "http://127.0.0.1:9/v1"}, "LLM_MODEL"),
        ({"TTS_PROVIDERS": "openai"}, "TTS_BASE_URL"),
        ({"ASR_PROVIDERS": "locale"}, "locale"),
        ({"RATE_LIMITS": "off"}, "RATE_LIMITS is off"),
        ({"LLM_API_KEY": "key"}, "LLM_BASE_URL is not"),
    ],
)
def test_settings_that_do_not_fit(prepared, values, told):
    _, report = doctor({**prepared, **values})
    assert told in report


def test_media_that_cannot_be_written(prepared, tmp_path):
    (tmp_path / "media").write_text("a file where the folder should be")
    code, report = doctor({**prepared, "MEDIA_ROOT": str(tmp_path / "media")})
    assert code == 1
    assert "WRONG" in line(report, "media")


@pytest.mark.system
def test_redis(prepared):
    with RedisServer() as redis_server:
        values = {**prepared, "REDIS_URL": redis_server.url}
        code, report = doctor(values)
        assert line(report, "Redis").startswith("ok")
        assert "none for turns" in line(report, "workers")
        assert "figures of no process" in line(report, "metrics")
        assert code == 1
        redis_server.stop()
        code, report = doctor(values)
        assert code == 1
        assert "cannot be reached" in line(report, "services")
