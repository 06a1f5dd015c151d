"""Which URLs and addresses may receive webhooks.

People add endpoints, and the site sends requests to them from inside its own network. So a URL is checked
twice: when it is saved, and at each request after its name was resolved, because names change. The request
then goes to the checked address (webhooks/request.py), never to the name.

An address must be public. `webhook_private_hosts` names the exceptions; even those may not have an address
of a cloud's metadata service, a link-local, multicast or reserved one. Sources: the IANA registries of
special-purpose addresses for IPv4 and IPv6, by Python's `ipaddress`; RFC 6052 and RFC 8215 (NAT64), RFC 3056
(6to4), RFC 7526 (its relay), RFC 4380 (Teredo), RFC 9637 (documentation). Metadata services: the pages
"Instance metadata" of AWS and Alibaba Cloud, and "What is IP address 168.63.129.16?" of Azure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext

from ..conf import bridge_settings

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a host name, for a port. Raises OSError."""

MAX_URL_CHARS = 2000

_METADATA = frozenset(
    ipaddress.ip_address(each) for each in ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL = tuple(
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
"""Networks that some versions of Python count as global (measured: 3.11.7 counts 192.0.0.192, the metadata service of
Oracle Cloud), and tunnels, whose other end is anywhere."""

_HOST = re.compile(r"[A-Za-z0-9._:%\-]+")
_DEFAULT_PORTS = {"https": 443, "http": 80}


class RefusedAddressError(Exception):
    """The URL or its address may not receive webhooks. The text is for the person who entered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The parts of a checked URL."""

    is_https: bool
    host: str
    """In ASCII, as TLS and the Host header need it."""
    port: int
    path: str
    """Path and query."""

    @property
    def host_header(self) -> str:
        """The value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS["https" if self.is_https else "http"]
        return name if self.port == default else f"{name}:{self.port}"


def check_url(url: str) -> Target:
    """Return the parts of the URL. Raises RefusedAddressError; resolves no name."""
    if len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url or "\\" in url:
        text = gettext("A URL has up to {limit} characters, none of them a space, a backslash or a control character.")
        message = text.format(limit=MAX_URL_CHARS)
        raise RefusedAddressError(message)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
        host = host if ":" in host else host.encode("idna").decode()
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}".encode("ascii").decode()
    except ValueError as error:
        message = gettext("This is no valid URL. Characters outside of ASCII are percent-encoded.")
        raise RefusedAddressError(message) from error
    if parts.scheme not in _allowed_schemes():
        schemes = gettext(" or ").join(f"{each}://" for each in _allowed_schemes())
        message = gettext("The URL has to begin with {schemes}.").format(schemes=schemes)
        if parts.scheme == "http":
            message += " " + gettext("The setting webhook_allow_http allows http://.")
        raise RefusedAddressError(message)
    if "@" in parts.netloc or parts.fragment or not _HOST.fullmatch(host):
        message = gettext("The URL needs a host, and may have neither a user, a password nor a fragment.")
        raise RefusedAddressError(message)
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if not _is_private_host(host) and port not in _allowed_ports():
        ports = ", ".join(map(str, sorted(_allowed_ports())))
        text = gettext(
            "The port {port} is not allowed: {ports}. The setting webhook_ports adds ports; webhook_private_hosts allows"
            " any port of a host that you run."
        )
        message = text.format(port=port, ports=ports)
        raise RefusedAddressError(message)
    if literal := _as_address(host):
        check_address(str(literal), host=host)
    return Target(is_https=parts.scheme == "https", host=host, port=port, path=path)


def checked_addresses(target: Target, *, resolve: Resolve) -> list[str]:
    """Resolve the name once, and return its addresses.

    Raises RefusedAddressError if any of them may not be reached, and OSError if there is none.
    """
    addresses = list(dict.fromkeys(resolve(target.host, target.port)))
    for address in addresses:
        check_address(address, host=target.host)
    return addresses


def check_address(address: str, *, host: str) -> None:
    """Raise RefusedAddressError if webhooks of this host may not be sent to the address."""
    meant = _embedded(_as_address(address))
    if meant is None or not _is_reachable(meant, private=_is_private_host(host)):
        message = gettext("{host} is in a private, local or reserved network ({address}).").format(
            host=host, address=address
        )
        if meant is not None and _is_reachable(meant, private=True):
            message += " " + gettext("The setting webhook_private_hosts allows hosts in such networks.")
        raise RefusedAddressError(message)


def _is_reachable(address: IPAddress, *, private: bool) -> bool:
    is_reserved = address.is_link_local or address.is_multicast or address.is_unspecified
    if address in _METADATA or is_reserved or any(address in network for network in _SPECIAL):
        return False
    if private and (address.is_loopback or (address.is_private and not address.is_reserved)):
        return True
    is_unicast = address.version == 4 or address in _GLOBAL_UNICAST  # noqa: PLR2004 - the version's own number
    return address.is_global and not address.is_reserved and is_unicast


def _embedded(address: IPAddress | None) -> IPAddress | None:
    """Return the IPv4 address that an IPv6 address stands for (mapped, or by NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _as_address(text: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _allowed_schemes() -> tuple[str, ...]:
    return ("https", "http") if settings.DEBUG or bridge_settings().webhook_allow_http else ("https",)


def _allowed_ports() -> set[int]:
    return {*bridge_settings().webhook_ports, *({80} if "http" in _allowed_schemes() else ())}


def _is_private_host(host: str) -> bool:
    return host.lower() in {each.lower().rstrip(".") for each in bridge_settings().webhook_private_hosts}
