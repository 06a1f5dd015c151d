"""How many bytes of each object the local storage has sent, for tests of what containers fetch."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SERVED_BYTES_PATH = "/local-storage/served-bytes"
"""GET returns a JSON object: path of the object (`/bucket/key`) -> bytes of all responses to GET so far."""


class ServedBytes:
    """WSGI application that counts what `application` sends, and shows the counts under SERVED_BYTES_PATH."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._served: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") != "GET":
            response: Iterable[bytes] = self._application(environ, start_response)
            return response
        if path == SERVED_BYTES_PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            with self._lock:
                return [json.dumps(self._served).encode()]
        return self._counted(path, self._application(environ, start_response))

    def _counted(self, path: str, response: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for block in response:
                with self._lock:
                    self._served[path] += len(block)
                yield block
        finally:
            if close := getattr(response, "close", None):
                close()
