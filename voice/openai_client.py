"""The connection to an OpenAI-compatible server, and what its failures mean.

Shared by the language model, the recogniser and the synthesiser of that name.
"""

import asyncio
import contextlib
import importlib
import re
from collections.abc import Collection, Iterator

import anyio
import httpx2
import openai

from voice.errors import ProviderError, Reason
from voice.http_errors import reason_of, retry_after
from voice.http_transport import AiohttpTransport, certificates

# Where servers say under which number they know a request.
_TRACES = ("x-request-id", "x-siliconcloud-trace-id")
ERRORS = (openai.OpenAIError, httpx2.RequestError, anyio.EndOfStream, OSError)


def open_client(
    *, base_url: str, api_key: str, connect_timeout: float, read_timeout: float
) -> openai.AsyncOpenAI:
    """A client with a connection pool of its own, which asks once and follows no environment.

    Args:
        base_url: With the version path: ``https://api.openai.com/v1``.
        api_key: Empty for servers that want none.
        connect_timeout: Seconds to connect, and to wait for a place in the pool.
        read_timeout: Seconds without a byte after which an answer counts as lost.
    """
    timeout = httpx2.Timeout(read_timeout, connect=connect_timeout, pool=connect_timeout)
    client = openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or "none",  # the package insists on one; open servers ignore it
        max_retries=0,  # the fall-back chain asks again, and knows when not to
        http_client=openai.DefaultAsyncHttpxClient(
            transport=AiohttpTransport(max_connections=1_000), timeout=timeout
        ),
        timeout=timeout,
    )
    client.organization = client.project = None  # else taken from OPENAI_ORG_ID, OPENAI_PROJECT_ID
    return client


async def warm_client() -> None:
    """Load what the first request of a process would else wait for: some 60 ms."""
    await asyncio.to_thread(_load)


async def probe_client(client: openai.AsyncOpenAI, provider: str) -> None:
    """Ask for the list of models, which costs nothing and needs the key.

    A server without such a list is there all the same.

    Args:
        client: Of `open_client`.
        provider: Registry name, for the error.

    Raises:
        ProviderError: The server cannot be reached, refuses the key or is overloaded.
    """
    try:
        await client.models.with_raw_response.list()
    except ERRORS as error:
        failure = provider_error(error, provider=provider, begun=False)
        if failure.elsewhere and failure.status not in (404, 405):
            raise failure from error


def _load() -> None:
    for name in ("chat", "audio"):  # which the package imports at their first use
        importlib.import_module(f"openai.resources.{name}")
    certificates()


def provider_error(error: Exception, *, provider: str, begun: bool) -> ProviderError:
    """Decide what a failure means.

    Args:
        error: One of `ERRORS`.
        provider: Registry name, for the error.
        begun: Part of the answer was already handed on, so that nobody may ask again.
    """
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    reason: Reason
    wait = None
    if isinstance(error, openai.APIStatusError):
        reason = reason_of(error.status_code, error.code, error.message)
        wait = retry_after(error.response.headers)
        message = f"answered {status}"
        if reason != "auth":  # answers to a wrong key quote parts of it
            message += f": {_told(error)[:200]}"
        if trace := next(filter(None, map(error.response.headers.get, _TRACES)), None):
            message += f" (request {trace[:64]})"
    elif _timed_out(error):
        reason, message = "timeout", "did not answer in time"
    else:
        reason, message = "unavailable", f"connection failed: {error.__cause__ or error}"
    return ProviderError(
        f"{provider} {message}",
        provider=provider,
        reason="incomplete" if begun else reason,
        status=status,
        retry_after=wait,
    )


@contextlib.contextmanager
def provider_errors(provider: str) -> Iterator[None]:
    """Turn the failures of a request whose answer has not begun into `ProviderError`."""
    try:
        yield
    except ERRORS as error:
        raise provider_error(error, provider=provider, begun=False) from error


def refused_fields(
    error: openai.APIStatusError, sent: Collection[str], proven: Collection[str]
) -> frozenset[str]:
    """The optional fields to try without, after a server has refused a request.

    Args:
        error: Its answer.
        sent: The optional fields of the request.
        proven: Fields that it has taken before.

    Returns:
        Those that the answer names; where it names none, those that are not proven.
    """
    if reason_of(error.status_code, error.code, error.message) != "bad_request":
        return frozenset()
    text = f"{error.param} {error.message} {error.body}"
    named = frozenset(name for name in sent if re.search(rf"\b{name}\b", text))
    return named or frozenset(sent) - frozenset(proven)


def _told(error: openai.APIStatusError) -> str:
    """The message; servers made with FastAPI have it elsewhere."""
    detail = error.body.get("detail") if isinstance(error.body, dict) else None
    return f"{error.message}: {detail}" if detail else error.message


def _timed_out(error: Exception) -> bool:
    """A server that cannot even be reached is unavailable, not slow."""
    cause = error.__cause__ if isinstance(error, openai.APITimeoutError) else error
    return isinstance(cause, httpx2.TimeoutException) and not isinstance(
        cause, httpx2.ConnectTimeout
    )
