"""Sends HTTP requests to where tenants say, and to nowhere else: the one way out for webhooks and connectors.

A name is resolved once, every address that it has is judged, and the connection goes to one of exactly these: an answer
of DNS that changes afterwards changes nothing. Redirects are not followed, proxies of the environment are not used, and
of an answer no more is kept than is of use.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final, cast

import httpcore2
from msgspec import Struct

from segment_copilot.activations.addresses import Address, Allowed, Place, read_place
from segment_copilot.errors import InvalidInput, Unavailable

MAX_ANSWER: Final = 64 * 1024
TIMEOUT: Final = timedelta(seconds=15)
AGENT: Final = "segment-copilot"

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Returns the addresses of a name; raises OSError where it has none."""


class OutgoingRefused(InvalidInput):
    """A request was not sent, since its URL names a place that this service does not send to."""

    code = "url_not_allowed"


class OutgoingFailed(Unavailable):
    """A request brought no answer; another time it may."""

    code = "no_answer"


class Answer(Struct, frozen=True):
    """An answer of whatever status. Names of headers are lower-case; *body* is its beginning, at most 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        """Return whether the status says that the request was taken."""
        return 200 <= self.status < 300  # noqa: PLR2004


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Return the addresses that the system's resolver gives for a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A zone (fe80::1%eth0) is cut off: such an address is refused anyway.
    return list(dict.fromkeys(ip_address(str(place[0]).split("%")[0]) for *_, place in found))


class Outgoing:
    """Sends requests of any tenant. It holds no connection between two of them, so each is judged anew."""

    def __init__(
        self, allowed: Allowed, *, resolve: Resolve = resolve, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        """Send also to *allowed* networks; *resolve* and *tls* say how names and certificates are checked."""
        self._allowed = allowed
        self._resolve = resolve
        self._make_tls = tls or httpcore2.default_ssl_context
        self._tls: ssl.SSLContext | None = None

    def check(self, url: str) -> str:
        """Return *url* in its one spelling, if it may be sent to as far as can be seen without the network.

        Raises:
            InvalidInput: It may not; its sentence says why and what to do.
        """
        return read_place(url, self._allowed).url

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: timedelta = TIMEOUT,  # noqa: ASYNC109
    ) -> Answer:
        """Send a POST as `request` does."""
        return await self.request("POST", url, headers=headers, body=body, timeout=timeout)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: timedelta = TIMEOUT,  # noqa: ASYNC109  # of the whole, and the callers' to say
    ) -> Answer:
        """Send a request and return the answer, whatever its status: a redirect is an answer like any other.

        Raises:
            OutgoingRefused: The URL may not be sent to, or a name in it has an address that may not. Nothing was sent.
            OutgoingFailed: No answer came: no such name, no connection, no TLS, cut off, or later than *timeout*.
        """
        try:
            place = read_place(url, self._allowed)
        except InvalidInput as error:
            raise OutgoingRefused(error.detail) from None
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._send(method, place, headers or {}, body)
        except TimeoutError:
            raise OutgoingFailed(f"{place.host} did not answer within {timeout.total_seconds():g} seconds.") from None
        except (httpcore2.LocalProtocolError, UnicodeEncodeError):
            raise OutgoingRefused("A header of the request has a name or value that HTTP does not allow.") from None
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise OutgoingFailed(_sentence(place.host, error)) from error

    async def _send(self, method: str, place: Place, headers: Mapping[str, str], body: bytes | None) -> Answer:
        if self._tls is None:
            self._tls = self._make_tls()
        wanted = {"user-agent": AGENT, "accept-encoding": "identity", "connection": "close"}
        wanted |= {name.lower(): value for name, value in headers.items()}
        backend = _CheckedBackend(place, self._allowed, self._resolve)
        async with (
            httpcore2.AsyncConnectionPool(ssl_context=self._tls, max_connections=1, network_backend=backend) as pool,
            pool.stream(
                method,
                place.url,
                headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in wanted.items()],
                content=body,
            ) as response,
        ):
            kept = bytearray()
            async for piece in response.aiter_stream():
                kept += piece
                if len(kept) >= MAX_ANSWER:
                    break
        read = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, read, bytes(kept[:MAX_ANSWER]))


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were judged, under the name they were asked for: TLS and Host go on with the name."""

    def __init__(self, place: Place, allowed: Allowed, resolve: Resolve) -> None:
        self._place = place
        self._allowed = allowed
        self._resolve = resolve
        self._connections = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  # the place says it
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of the place's addresses that answers, after all of them were judged."""
        failure: Exception | None = None
        for address in await self._addresses():
            try:
                return await self._connections.connect_tcp(
                    str(address), self._place.port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError("the name has no address")

    async def _addresses(self) -> Sequence[Address]:
        place = self._place
        if place.address:
            addresses: Sequence[Address] = [place.address]
        else:
            try:
                addresses = await self._resolve(place.host, place.port)
            except (OSError, UnicodeError) as error:
                raise OutgoingFailed(f"The name {place.host} cannot be resolved.") from error
        for address in addresses:  # one that may not be sent to is enough: who mixes them means no good
            if reason := self._allowed.check(address, is_secure=place.is_secure):
                raise OutgoingRefused(f"{place.host} {reason}.")
        return addresses


def _sentence(host: str, error: Exception) -> str:
    """Return what went wrong with a request, in one sentence without anything of the network's inside."""
    cause = error.__cause__ or error.__context__
    match error, cause:
        case _, ssl.SSLCertVerificationError():
            return f"The certificate of {host} is not valid for it: {cause.verify_message}."
        case _, ssl.SSLError():
            return f"{host} does not speak TLS as it should."
        case httpcore2.ConnectError() | httpcore2.ConnectTimeout(), _:
            return f"{host} takes no connections."
        case httpcore2.ProtocolError(), _:
            return f"{host} broke off, or does not speak HTTP."
        case _:
            return f"{host} broke off."
