"""HTTP server for folders that supports byte ranges, like a CDN in front of a bucket."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_CONTENT_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt",
}


@contextmanager
def serve_folders(
    folders: Mapping[str, Path],
    *,
    admits: Callable[[str, str], bool] = lambda _path, _cookies: True,
    extra_headers: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Serve each folder under its prefix, such as `/media/`, and yield the server's URL.

    `admits` gets path and query, and the header Cookie; the response is 403 unless it returns True. Every response
    has the extra headers.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not admits(self.path, self.headers.get("Cookie", "")):
                self._respond(403, b"", {})
                return
            path = urlsplit(self.path).path
            prefix = next((prefix for prefix in folders if path.startswith(prefix)), None)
            file = folders[prefix] / path.removeprefix(prefix) if prefix else None
            if file is None or not file.is_file():
                self._respond(404, b"", {})
                return
            content = file.read_bytes()
            kind = {"Content-Type": _CONTENT_TYPES.get(file.suffix, "application/octet-stream")}
            range_header = self.headers.get("Range")
            if range_header is None:
                self._respond(200, content, kind)
                return
            first, _, last = range_header.removeprefix("bytes=").partition("-")
            end = min(int(last) + 1 if last else len(content), len(content))
            span = {"Content-Range": f"bytes {first}-{end - 1}/{len(content)}"}
            self._respond(206, content[int(first) : end], kind | span)

        def _respond(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, **(extra_headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except ConnectionError:
                # A seeking player closes the connections of its pending requests.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
