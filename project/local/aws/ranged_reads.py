"""Reads of a range in the local storage that do not read the whole object.

moto reads all of an object into memory for each request, also for one of a few bytes of a file of
several gigabytes. Containers make hundreds of those.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from moto.s3.models import FakeKey

if TYPE_CHECKING:
    from collections.abc import Iterable

_RANGE = re.compile(r"bytes=\d+-\d*")
_request = threading.local()
_whole_value: Any = FakeKey.value


class RangedReads:
    """WSGI application that passes requests on to moto, and makes those for one range cheap."""

    def __init__(self, moto: Any) -> None:
        self._moto = moto

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        is_read = environ.get("REQUEST_METHOD") == "GET"
        _request.has_range = is_read and bool(_RANGE.fullmatch(environ.get("HTTP_RANGE", "")))
        try:
            response: Iterable[bytes] = self._moto(environ, start_response)
        finally:
            _request.has_range = False
        return response


class _StoredValue:
    """The content of an object as moto's code for ranges uses it: a length, and one slice."""

    def __init__(self, key: FakeKey) -> None:
        self._key = key

    def __len__(self) -> int:
        return int(self._key.size)

    def __getitem__(self, part: slice) -> bytes:
        first, end, _ = part.indices(len(self))
        buffer: Any = self._key._value_buffer  # noqa: SLF001 - moto has no other way to a part of it
        with self._key.lock:
            buffer.seek(first)
            return bytes(buffer.read(end - first))


def read_ranges_alone() -> None:
    """Change moto so: FakeKey.value is the whole object, or for a request for a range, only what is asked of it."""

    def value(key: FakeKey) -> Any:
        return _StoredValue(key) if getattr(_request, "has_range", False) else _whole_value.fget(key)

    key_class: Any = FakeKey
    key_class.value = property(value, _whole_value.fset)
