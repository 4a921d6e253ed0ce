"""The files that make the image and start it, read as Docker reads them."""

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from config.management.commands.serve import GRACE_SECONDS
from tests.containers import (
    APP_SERVICES,
    COMPOSE,
    DOCKER,
    IMAGE_ENVIRONMENT,
    INSTRUCTIONS,
    LAST_STAGE,
    copied,
    entrypoint,
    seconds,
)
from tests.processes import ROOT
from tests.test_house import read_settings

# The image fixes these; DEBUG is never on in it, and the local language model is not in it.
FIXED = {"HOST", "PORT", "DATA_DIR", "MEDIA_ROOT", "MODELS_DIR", "DEBUG", "LLM", "LLM_PORT"}
NOT_IN_THE_IMAGE = {"tests", "bench"}
TAG = re.compile(r"[^\s:@]+:(?P<tag>[\w.-]+)")


def of_last_stage(name: str) -> list[str]:
    return [rest for instruction, rest in LAST_STAGE if instruction == name]


def reaches_the_builder(path: str) -> bool:
    """Whether .dockerignore lets a file through; its last matching line decides."""
    verdict = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        names = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            names, pattern = parts, pattern.removeprefix("**/")
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            verdict = line.startswith("!")
    return verdict


def test_the_final_stage_runs_as_nobody_special():
    (user,) = of_last_stage("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    after = LAST_STAGE[LAST_STAGE.index(("USER", user)) :]
    assert {name for name, _ in after} <= {"USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert of_last_stage("STOPSIGNAL") == ["SIGTERM"]
    assert not [rest for rest in of_last_stage("COPY") if "--chown" in rest]


def test_the_final_stage_brings_no_compiler():
    for command in of_last_stage("RUN"):
        assert not re.search(r"apt-get|apk |build-essential|gcc", command)
    (install,) = [command for command in of_last_stage("RUN") if "pip install" in command]
    assert {"--no-index", "--no-deps"} <= set(install.split())


def test_image_starts_and_is_asked_by_files_that_are_in_it():
    (entry,) = of_last_stage("ENTRYPOINT")
    (default,) = of_last_stage("CMD")
    (health,) = of_last_stage("HEALTHCHECK")
    asked = json.loads(health.partition("CMD ")[2])
    assert json.loads(entry) == ["docker/entrypoint.sh"]
    assert (ROOT / "docker/entrypoint.sh").stat().st_mode & 0o111 == 0o111
    assert json.loads(default) == ["web"]
    assert asked == ["python", "docker/healthcheck.py", "web"]
    assert {"docker/entrypoint.sh", "docker/healthcheck.py"} <= set(copied())


def test_tags_are_pinned():
    stages = {
        rest.split(" AS ")[1] for name, rest in INSTRUCTIONS if name == "FROM" and " AS " in rest
    }
    images = [rest.split()[0] for name, rest in INSTRUCTIONS if name == "FROM"]
    images += [service["image"] for service in COMPOSE["services"].values()]
    for image in set(images) - stages:
        found = TAG.fullmatch(re.sub(r"\$\{\w+:-(\w+)\}", r"\1", image))
        assert found, f"{image} has no tag"
        assert found["tag"] != "latest"


def test_every_room_is_copied_and_nothing_else_gets_in():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NOT_IN_THE_IMAGE
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert rooms >= set(project["tool"]["importlinter"]["root_packages"])
    assert set(copied()) >= rooms | {"static", "templates", "locale", "manage.py", "CHANGELOG.md"}
    for source in [*copied(), "requirements.txt"]:
        assert (ROOT / source).exists()
        assert reaches_the_builder(source)
    for kept_out in (
        ".env",
        "docker/.env",
        ".data/secret_key",
        ".git/config",
        "tests/conftest.py",
        "chat/__pycache__/x.pyc",
        "chat/.env",
    ):
        assert not reaches_the_builder(kept_out), kept_out


def test_compose_hands_every_setting_through_and_nothing_unknown():
    read = set(read_settings(ROOT / "config/settings.py"))
    assert set(IMAGE_ENVIRONMENT) & read == {"HOST", "PORT", "DATA_DIR"}
    for name in APP_SERVICES:
        assert set(COMPOSE["services"][name]["environment"]) == read - FIXED


def test_compose_has_no_secret_of_its_own():
    text = (DOCKER / "compose.yml").read_text(encoding="utf-8")
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        uses = re.findall(rf"\$\{{?{name}[^}}]*", text)
        assert uses
        assert all(use.startswith(f"${{{name}:?") for use in uses)
    values = COMPOSE["services"]["web"]["environment"]
    secret = re.compile(r"(KEY|PASSWORD|SECRET)$")
    assert {name for name, value in values.items() if value and secret.search(name)} == {
        "SECRET_KEY"
    }


def test_compose_starts_roles_that_the_entry_point_knows():
    known = re.search(r"known are (.*)", entrypoint("nonsense", {}).stderr)
    assert known
    roles = set(known[1].split(", "))
    assert {tuple(COMPOSE["services"][name]["command"]) for name in APP_SERVICES} == {
        (role,) for role in roles
    }


def test_web_alone_is_reachable():
    services = {name: s for name, s in COMPOSE["services"].items() if "profiles" not in s}
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert COMPOSE["services"][name]["networks"] == ["stores"]


def test_metrics_are_watched_where_the_operator_wants_that():
    extra = {name: s for name, s in COMPOSE["services"].items() if "profiles" in s}
    assert {name: service["profiles"] for name, service in extra.items()} == {
        "prometheus": ["metrics"],
        "grafana": ["metrics"],
    }
    assert extra["grafana"]["ports"] == ["${PUBLISH_GRAFANA:-127.0.0.1:3000}:3000"]
    assert "ports" not in extra["prometheus"]
    mounted = [config["source"] for s in extra.values() for config in s["configs"]]
    assert sorted(mounted) == sorted(COMPOSE["configs"])
    for config in COMPOSE["configs"].values():
        assert (DOCKER / config["file"]).is_file()


def test_prometheus_asks_the_web_service_with_the_token_of_the_settings():
    config = yaml.safe_load((DOCKER / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"web:{IMAGE_ENVIRONMENT['PORT']}"]}]
    (secret,) = COMPOSE["services"]["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"] == {secret: {"environment": "METRICS_TOKEN"}}
    grafana = yaml.safe_load((DOCKER / "grafana/datasource.yml").read_text(encoding="utf-8"))
    assert grafana["datasources"][0]["url"] == "http://prometheus:9090"


def test_nothing_starts_before_what_it_needs():
    services = COMPOSE["services"]
    for name in set(APP_SERVICES) - {"migrate"}:
        assert set(services[name]["depends_on"]) == {"postgres", "redis", "migrate"}
        assert services[name]["restart"] == "unless-stopped"
    assert services["migrate"]["restart"] == "no"
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[needed]["healthcheck"]
            else:
                assert (how["condition"], needed) == ("service_completed_successfully", "migrate")


def test_what_processes_share_is_on_volumes_below_the_data_directory():
    data = IMAGE_ENVIRONMENT["DATA_DIR"]
    declared = set(COMPOSE["volumes"])
    for name, service in COMPOSE["services"].items():
        mounts = dict(mount.split(":") for mount in service["volumes"])
        assert set(mounts) <= declared
        if name in APP_SERVICES:
            assert mounts == {"data": data, "media": f"{data}/media", "models": f"{data}/models"}
            assert service["read_only"]


def test_compose_waits_longer_than_the_processes_do():
    for name in ("web", "worker", "background"):
        assert seconds(COMPOSE["services"][name]["stop_grace_period"]) > GRACE_SECONDS


@pytest.mark.parametrize("name", ["entrypoint.sh"])
def test_shell_scripts_are_clean(name):
    path = DOCKER / name
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0
    checked = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
