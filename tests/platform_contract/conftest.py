from collections.abc import Iterator

import httpx
import pytest

from tests.platform_contract.speaking import Person
from tests.processes import ServerProcess, start_server


@pytest.fixture(scope="package", params=["uvicorn", "daphne"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with start_server(server=request.param) as running:
        yield running


@pytest.fixture(scope="package")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=20) as client:
        yield client


@pytest.fixture(scope="package")
def alice(http: httpx.Client) -> Person:
    return Person(http)


@pytest.fixture(scope="package")
def bob(http: httpx.Client) -> Person:
    return Person(http)
