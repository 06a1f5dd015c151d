"""Texts that are made once and kept in memory, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class KeptTexts:
    """The texts used last, by key. Threads that want the same one at the same time wait for a single maker."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._texts: OrderedDict[Hashable, bytes] = OrderedDict()
        self._being_made: dict[Hashable, Future[bytes]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the text that is kept under `key`, or the one that `make` returns.

        Passes on what `make` raises, to each thread that waits for it; nothing is kept then.
        """
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
            being_made = self._being_made.get(key)
            if being_made is None:
                made = self._being_made[key] = Future()
        if being_made is not None:
            return being_made.result()
        try:
            text = make()
        except BaseException as error:
            with self._lock:
                del self._being_made[key]
            made.set_exception(error)
            raise
        with self._lock:
            del self._being_made[key]
            self._keep(key, text)
        made.set_result(text)
        return text

    def _keep(self, key: Hashable, text: bytes) -> None:
        if len(text) > self._max_bytes:
            return
        self._texts[key] = text
        self._bytes += len(text)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._texts.popitem(last=False)[1])
