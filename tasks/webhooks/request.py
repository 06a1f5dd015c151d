"""One webhook: a POST to a checked address, within its time limit, without redirects or proxies."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from .addresses import RefusedAddressError, Resolve, Target, check_url, checked_addresses

EXCERPT_BYTES = 500
"""Bytes of a response's body that are read, for the log of deliveries. The remainder is never received."""

MAX_RETRY_AFTER_S = 3600
"""Longest wait that a receiver may ask for with Retry-After."""

MAX_ADDRESSES = 3
"""Addresses of a name that are tried one after the other if no connection can be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one request ended."""

    status: int | None = None
    """HTTP status of the response; None if there was none."""
    error: str = ""
    """Code and text; empty after a status of 2xx."""
    excerpt: str = ""
    duration_s: float = 0.0
    retry_after_s: float = 0.0

    @property
    def is_success(self) -> bool:
        """Whether the receiver accepted the event."""
        return not self.error


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host name. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def send(url: str, *, body: bytes, headers: Mapping[str, str], timeout_s: float, resolve: Resolve = resolve) -> Outcome:
    """Send the request, and return how it ended, after about `timeout_s`. Raises nothing.

    Only resolving the name may take longer; nothing is sent then. Any status except 2xx is a failure, a
    redirect too.
    """
    started_s = time.monotonic()
    ends_at_s = started_s + timeout_s
    status, excerpt, retry_after_s = None, "", 0.0
    try:
        target = check_url(url)
        addresses = checked_addresses(target, resolve=resolve)
        connection = _connect(target, addresses, ends_at_s=ends_at_s)
        with _Deadline(connection, ends_at_s):
            response = _post(connection, target, body=body, headers=headers)
            status = response.status
            retry_after_s = _retry_after_s(response.headers.get("Retry-After", ""))
            excerpt = _excerpt(response)
        is_redirect = 300 <= status < 400  # noqa: PLR2004 - the class of statuses
        error = "" if 200 <= status < 300 else f"STATUS {status}{': redirects are not followed' if is_redirect else ''}"  # noqa: PLR2004 - as above
    except RefusedAddressError as refusal:
        error = f"REFUSED {refusal}"
    except ssl.SSLCertVerificationError as failure:
        error = f"CERTIFICATE {failure.verify_message}"
    except (OSError, HTTPError, http.client.HTTPException, ValueError, AttributeError) as failure:
        # AttributeError: http.client and ssl, when the deadline closes their socket during a call.
        is_late = time.monotonic() >= ends_at_s or isinstance(failure, TimeoutError)
        error = f"TIMEOUT no response within {timeout_s:g} s" if is_late else f"CONNECTION {_one_line(str(failure))}"
    return Outcome(
        status=status,
        error=error[:300],
        excerpt=excerpt,
        duration_s=time.monotonic() - started_s,
        retry_after_s=retry_after_s,
    )


def _connect(target: Target, addresses: list[str], *, ends_at_s: float) -> HTTPConnection:
    """Connect to the first address that answers. Raises OSError or HTTPError."""
    problem: Exception = OSError("the name has no address")
    for address in addresses[:MAX_ADDRESSES]:
        left_s = ends_at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection = (
            HTTPSConnection(
                address, target.port, timeout=left_s, server_hostname=target.host, ssl_context=_ssl_context()
            )
            if target.is_https
            else HTTPConnection(address, target.port, timeout=left_s)
        )
        try:
            with _Deadline(connection, ends_at_s, close=False):
                connection.connect()
        except (OSError, HTTPError) as error:
            connection.close()
            if isinstance(error, ssl.SSLError):
                raise
            problem = error
        else:
            return connection
    raise problem


class _Deadline:
    """Ends the connection when the time is up, also if the other side sends a byte now and then."""

    def __init__(self, connection: HTTPConnection, ends_at_s: float, *, close: bool = True) -> None:
        self._connection, self._close = connection, close
        self._timer = threading.Timer(max(0.0, ends_at_s - time.monotonic()), self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._close:
            self._connection.close()

    def _end(self) -> None:
        with suppress(OSError, AttributeError):
            # The plain socket's method: SSLSocket's own also removes the TLS state, which the other thread uses.
            socket.socket.shutdown(self._connection.sock, socket.SHUT_RDWR)


def _post(connection: HTTPConnection, target: Target, *, body: bytes, headers: Mapping[str, str]) -> BaseHTTPResponse:
    all_headers = {**headers, "Host": target.host_header, "Accept-Encoding": "identity", "Connection": "close"}
    connection.request("POST", target.path, body=body, headers=all_headers, preload_content=False, decode_content=False)
    return connection.getresponse()


def _excerpt(response: BaseHTTPResponse) -> str:
    """Return the beginning of the body; what arrives before the deadline. The status has decided already."""
    received = b""
    with suppress(OSError, HTTPError, http.client.HTTPException, ValueError, AttributeError):
        while len(received) < EXCERPT_BYTES:
            part = response.read1(EXCERPT_BYTES - len(received))
            if not part:
                break
            received += part
    return _one_line(received.decode(errors="replace"))


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _retry_after_s(value: str) -> float:
    return float(min(int(value), MAX_RETRY_AFTER_S)) if value.isascii() and value.isdigit() else 0.0


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return the context with the authorities of the system, or of SSL_CERT_FILE."""
    return ssl.create_default_context()
