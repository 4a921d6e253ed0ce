"""Fixtures that more than one module uses."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.utils import translation

from accounts.authentication import recent_users
from accounts.credentials import recent_keys
from accounts.quotas import month_sums
from tests.processes import ServerProcess, start_server
from voice import catalogue


@pytest.fixture(autouse=True)
def _nothing_remembered(settings) -> None:
    """What this process keeps for a moment belongs to the database of the test before.

    Passwords are hashed cheaply here; servers in processes of their own use Argon2.
    """
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    recent_users.clear()
    recent_keys.clear()
    month_sums.clear()
    catalogue.forget()
    translation.activate(settings.LANGUAGE_CODE)  # a request in English leaves its language


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A web process with the presets, shared by the tests that change nothing global."""
    with start_server() as running:
        yield running
