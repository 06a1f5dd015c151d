"""The head of an HTTP request (request line and header), as far as the event loop of a web process reads it.

The loop serves all connections, so nothing here may take long, whatever a client sends: each pattern
has at most one unbounded repeat, since two next to each other take time quadratic in the head's size.
"""

from __future__ import annotations

import re

HEAD_END = b"\r\n\r\n"

_LENGTH = re.compile(rb"\r\ncontent-length:([^\r\n]*)", re.IGNORECASE)
_TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECTS_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)

_LENGTH_DIGITS = 18
"""More than any limit has; int() refuses thousands."""


def announced_bytes(head: bytes) -> int | None:
    """Return the body's length by the header: 0 without one, None if it is malformed or there are several."""
    lengths = [length.strip(b" \t") for length in _LENGTH.findall(head)]
    if not lengths:
        return 0
    if len(lengths) > 1 or len(lengths[0]) > _LENGTH_DIGITS or not lengths[0].isdigit():
        return None
    return int(lengths[0])


def has_transfer_encoding(head: bytes) -> bool:
    """Return whether the body has no length in advance: Transfer-Encoding, RFC 9112, 6.1."""
    return _TRANSFER_ENCODING.search(head) is not None


def expects_continue(head: bytes) -> bool:
    """Return whether the client waits for a response before it sends the body: RFC 9110, 10.1.1."""
    return _EXPECTS_CONTINUE.search(head) is not None
