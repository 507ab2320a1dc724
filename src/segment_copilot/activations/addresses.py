"""Judges where this service may send to: URLs by how they are written, IP addresses by what they are. Pure, no I/O.

A tenant writes the URL, and the service stands inside a network that the tenant must not reach through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from msgspec import Struct

from segment_copilot.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL: Final = 2_000
PORTS: Final = {"http": 80, "https": 443}

_URL: Final = re.compile(r"(https?)://([^/?#]*)([/?][^#]*)?(?:#.*)?", re.IGNORECASE)
_SEEN: Final = re.compile(r"[!-~]+")  # ASCII that is seen: no space, no control character, no Unicode look-alike
_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER: Final = re.compile(r"(\d+|0x[0-9a-f]*)")  # a host whose last label is one is an IPv4 address to most clients
_FIRST_FREE_PORT: Final = 1024

# Beyond what `ipaddress` calls not global, which differs between versions of Python.
_NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata service is in it
        "168.63.129.16/32",  # Azure's metadata service, on an address that looks public
        "169.254.0.0/16",  # link-local: the metadata services of the others
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_HOLDS_IPV4: Final = tuple(
    IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
    )
)
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


class Place(Struct, frozen=True):
    """A place that a URL names, in its one spelling; *address* is there where the host is an address and no name."""

    scheme: str
    host: str
    port: int
    target: str
    address: Address | None = None

    @property
    def is_secure(self) -> bool:
        """Return whether what is sent there is encrypted."""
        return self.scheme == "https"

    @property
    def url(self) -> str:
        """Return the URL that is requested."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


class Allowed(Struct, frozen=True):
    """The networks that may be sent to although they are private, and without encryption too."""

    networks: tuple[Network, ...] = ()

    def covers(self, address: Address) -> bool:
        """Return whether *address* lies in one of them, however it is written."""
        return any(plain in network for plain in _plain(address) for network in self.networks)

    def check(self, address: Address, *, is_secure: bool) -> str:
        """Return why nothing is sent to *address*, as the rest of a sentence; empty if it may be sent to."""
        if self.covers(address):
            return ""
        if not is_public(address):
            return (
                "is in a network that this service does not send to (private, local, reserved or a cloud's own), unless its "
                "operator allows that by OUTGOING_ALLOW"
            )
        return "" if is_secure else "is only sent to with https://"


def read_networks(texts: Sequence[str]) -> Allowed:
    """Read the networks of a setting such as `10.0.0.0/8`.

    Raises:
        InvalidInput: One of them is no network.
    """
    try:
        return Allowed(tuple(ip_network(text) for text in texts))
    except ValueError as error:
        detail = f"OUTGOING_ALLOW is to be a list of networks such as 10.0.0.0/8: {error}."
        raise InvalidInput(detail, code="invalid_settings") from error


def is_public(address: Address) -> bool:
    """Return whether *address*, and any that is wrapped in it, belongs to the public internet alone."""
    return all(_is_public(one) for one in _plain(address))


def _is_public(address: Address) -> bool:
    if any(address in network for network in _NEVER) or not address.is_global or address.is_multicast:
        return False
    return isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST


def _plain(address: Address) -> Iterator[Address]:
    """Yield the address that is meant: the IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, IPv6Address) and any(address in network for network in _HOLDS_IPV4):
        # `::` and `::1` are IPv6's own; read as IPv4 they lie in 0.0.0.0/8, and are refused as well.
        yield address if int(address) <= 1 else IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address


def read_place(url: str, allowed: Allowed) -> Place:
    """Read a URL that may be sent to, as far as can be seen before its name is resolved.

    Raises:
        InvalidInput: It is no such URL. The sentence says what to do.
    """
    if len(url) > MAX_URL:
        raise _refused(f"The URL has {len(url):,} characters; at most {MAX_URL:,} are taken.")
    found = _URL.fullmatch(url)
    if not found:
        raise _refused("The URL is to begin with https:// and a host.")
    if not _SEEN.fullmatch(url) or "\\" in url:
        raise _refused(
            "The URL has spaces, backslashes or characters that are not ASCII; encode them (%20, xn--… in a host)."
        )
    scheme, authority, target = found[1].lower(), found[2].lower(), found[3] or "/"
    if "@" in authority:
        raise _refused("The URL has a user or password before its host; leave it out.")
    host, port = _host_and_port(authority)
    port = PORTS[scheme] if port is None else port
    address = _address(host)
    place = Place(
        scheme, str(address) if address else host, port, target if target[0] == "/" else f"/{target}", address
    )
    if not (address and allowed.covers(address)) and port < _FIRST_FREE_PORT and port not in PORTS.values():
        raise _refused(f"The URL's port {port} is not one to send to; take 443, 80, or one from {_FIRST_FREE_PORT} on.")
    if address and (reason := allowed.check(address, is_secure=place.is_secure)):
        raise _refused(f"The URL's host {reason}.")
    if not place.is_secure and not allowed.networks:
        raise _refused("The URL is to begin with https://: what is sent would be readable on its way.")
    return place


def _host_and_port(authority: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?", authority)
    if not found or not found[1]:
        raise _refused("The URL has no host, or a port that is no number.")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 2**16:
        raise _refused(f"The URL's port {port} does not exist.")
    return found[1], port


def _address(host: str) -> Address | None:
    """Return the address that a host is, or None for a name; any spelling but the usual one is refused."""
    if host.startswith("["):
        if "%" in host:
            raise _refused("The URL's host has a zone (%…); leave it out.")
        return _parsed(host[1:-1], "The URL's host is no IPv6 address.")
    if host.endswith("."):
        raise _refused("The URL's host ends with a dot; leave it out.")
    if _NUMBER.fullmatch(host.rsplit(".", 1)[-1]):
        return _parsed(host, "The URL's host is to be a name, or an address as four decimal numbers: 203.0.113.7.")
    if not _NAME.fullmatch(host):
        raise _refused("The URL's host is no name that can be looked up.")
    return None


def _parsed(text: str, otherwise: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise _refused(otherwise) from None


def _refused(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="url_not_allowed")
