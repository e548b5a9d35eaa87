"""Where a request may go: hosts the operator has named, at addresses that are not this network's own.

A name is resolved once, and the connection is made to the very address that was looked at, so a name that means
something else a moment later changes nothing. TLS and the Host header keep the name.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


class ForbiddenError(Exception):
    """A request must not go there. Says why."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What one source may reach."""

    hosts: frozenset[str]
    """`host:port`, in lower case."""
    internal: tuple[str, ...] = ()
    """Exceptions: a host, `host:port`, or a network in CIDR form that may be private all the same."""

    def check_url(self, url: str) -> None:
        """Raises: ForbiddenError, if the URL is of no host that was named."""
        place = place_of(url)
        if place not in self.hosts:
            raise ForbiddenError(f"{place} is none of the hosts this source may call ({', '.join(sorted(self.hosts))})")

    def check_address(self, host: str, port: int, address: str) -> None:
        """Raises: ForbiddenError, if it is this network's own, and no exception is made for it."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if is_public(found):
            return
        name = host.lower()
        if any(self._excepts(one, name, port, found) for one in self.internal):
            return
        raise ForbiddenError(f"{host} is at {address}, an address of this machine or its network")

    def _excepts(self, exception: str, host: str, port: int, address: Address) -> bool:
        if "/" in exception or _is_address(exception):
            network = ipaddress.ip_network(exception, strict=False)
            return any(one in network for one in (address, *_within(address)))
        # Where a cloud keeps its secrets, no name leads: only its address, spelled out.
        is_named = exception.lower() in (host, f"{host}:{port}")
        return is_named and not any(one.is_link_local for one in (address, *_within(address)))

    async def resolve(self, host: str, port: int) -> str:
        """The address to connect to. Raises: ForbiddenError, if any that the name has is forbidden; OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            self.check_address(host, port, address)
        return addresses[0]


def is_public(address: Address) -> bool:
    """Whether it is somewhere else for everybody, also if an IPv4 address is wrapped in it."""
    inner = _within(address)
    if inner:
        return all(is_public(one) for one in inner)
    is_local = address.is_link_local or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    return address.is_global and not (is_local or address.is_multicast or address.is_reserved)


def _within(address: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 one stands for: mapped, compatible, 6to4, Teredo, NAT64."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        found.append(last)
    return [one for one in found if one is not None]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def place_of(url: str) -> str:
    """`host:port` of a URL. Raises: ForbiddenError, if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise ForbiddenError(f"{url[:100]!r} is no http(s) address") from error
    if not parts.hostname:
        raise ForbiddenError(f"{url[:100]!r} has no host")
    return f"{parts.hostname.lower()}:{port}"


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the address the guard has looked at."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            address = await asyncio.wait_for(self._guard.resolve(host, port), timeout)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not found in time") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} was not found") from error
        return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise ForbiddenError("no local sockets")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx' own transport on connections that the guard permits; no proxy, and nothing of the environment."""

    def __init__(self, guard: Guard, *, connections: int, context: ssl.SSLContext | None = None) -> None:
        super().__init__(verify=context or httpx.create_ssl_context(trust_env=False), trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context or httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=_GuardedBackend(guard),
        )
