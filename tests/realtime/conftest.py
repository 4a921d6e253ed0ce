"""A web process with loopback providers, for the tests over real sockets."""

from collections.abc import Iterator

import pytest

from tests.platform import ProviderProcess, loopback_providers
from tests.processes import ServerProcess, start_server
from tests.v1.conftest import Caller


@pytest.fixture(scope="package")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(scope="package")
def server(providers: ProviderProcess) -> Iterator[ServerProcess]:
    with start_server(providers.settings) as process:
        yield process


@pytest.fixture(scope="package")
def shared_caller(server: ServerProcess) -> Caller:
    """One user for all tests that change nothing of theirs: passwords take their time."""
    return Caller.register(server.base_url)


@pytest.fixture
def caller(shared_caller: Caller, providers: ProviderProcess) -> Iterator[Caller]:
    yield shared_caller
    providers.reset()


@pytest.fixture
def another_caller(server: ServerProcess) -> Caller:
    return Caller.register(server.base_url)
