"""Benchmark: response times of the web server while clients are slow, and what a large body costs.

    python -m project.local exec -- python -m scripts.bench.slow_clients

It runs the Procfile's own line on a free port of the loopback interface, and holds `--clients` connections
for `--seconds`. They send their bodies slowly, or with `--readers` do not read a static file of 1.7 MB.
With GUNICORN_CMD_ARGS='--worker-class gthread --workers 1' it shows what Gunicorn's own worker does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from honcho.environ import parse_procfile

from scripts.bench.slow_clients.connections import (
    LARGE_BYTES,
    LIMIT_S,
    LOOPBACK,
    STATIC_NAME,
    TOKEN,
    SlowClients,
    SlowReaders,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
PAGES = ("/login/", "/")
SIGNED_IN = frozenset({"/"})
PERIOD_S = 0.2
"""Seconds between two requests of a measuring thread."""
START_LIMIT_S = 120.0


class Times(threading.Thread):
    """Response times of one path, requested again and again on new connections."""

    def __init__(self, port: int, path: str, *, session: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self._port, self._path, self._session = port, path, session
        self._until = time.monotonic() + seconds
        self.times_s: list[float] = []
        self.failures = 0

    def run(self) -> None:
        """Measure until the time is up."""
        while time.monotonic() < self._until:
            began = time.monotonic()
            try:
                status = get(self._port, self._path, session=self._session)
            except OSError:
                status = 0
            self.times_s.append(time.monotonic() - began)
            self.failures += status != http.HTTPStatus.OK
            time.sleep(PERIOD_S)

    def as_row(self) -> dict[str, Any]:
        """Return the times in milliseconds."""
        ordered = sorted(self.times_s)
        at = {"median": 50, "p99": 99}
        times_ms = {name: round(1000 * ordered[len(ordered) * percent // 100]) for name, percent in at.items()}
        row = {"path": self._path, "requests": len(ordered), "failures": self.failures}
        return {**row, **times_ms, "max": round(1000 * ordered[-1])}


def get(port: int, path: str, *, session: str) -> int:
    """Request a page on a new connection, and return its status."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=LIMIT_S)
    try:
        connection.request("GET", path, headers={"Host": "localhost", "Cookie": f"sessionid={session}"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def times(port: int, *, session: str, seconds: float) -> list[dict[str, Any]]:
    """Measure all paths at the same time."""
    threads = [
        Times(port, path, session=session if path in SIGNED_IN else "", seconds=seconds)
        for path in ("/health/", *PAGES)
        for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    merged = threads[::2]
    for first, second in zip(merged, threads[1::2], strict=True):
        first.times_s += second.times_s
        first.failures += second.failures
    return [each.as_row() for each in merged]


def large_body(port: int, path: str, folder: Path) -> dict[str, Any]:
    """Send 60 MB to the path without signing in. Return the status and the peak of the temporary folder."""
    peak = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            peak[0] = max(peak[0], sum(each.stat().st_size for each in folder.iterdir() if each.is_file()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=LIMIT_S)
    head = b'--x\r\nContent-Disposition: form-data; name="source"; filename="a.mp4"\r\n\r\n'
    sent = 0
    try:
        connection.putrequest("POST", path)
        headers = {"Cookie": f"csrftoken={TOKEN}", "Content-Type": "multipart/form-data; boundary=x"}
        for name, value in {**headers, "Content-Length": str(LARGE_BYTES)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            connection.send(head)
            while sent < LARGE_BYTES - len(head):
                block = b"x" * min(65536, LARGE_BYTES - len(head) - sent)
                connection.send(block)
                sent += len(block)
        except OSError:
            pass  # the server has closed the connection
        status = connection.getresponse().status
    except OSError:
        status = 0
    finally:
        ended.set()
        watcher.join()
        connection.close()
    return {"path": path, "status": status, "sent_mib": round(sent / 1024**2, 1), "disk_bytes": peak[0]}


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    """Run the Procfile's web line, and yield its port."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port: int = free.getsockname()[1]
    line = parse_procfile((ROOT / "Procfile").read_text()).processes["web"]
    static = folder.parent / "static"
    static.mkdir()
    (static / STATIC_NAME).write_bytes(bytes(1_700_000))
    environment = {**os.environ, "TMPDIR": str(folder), "STATIC_ROOT": str(static)}
    environment["GUNICORN_CMD_ARGS"] = f"{os.environ.get('GUNICORN_CMD_ARGS', '')} --bind {LOOPBACK}:{port}"
    with (folder.parent / "web.log").open("wb") as log:
        server = subprocess.Popen(shlex.split(line), cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                get(port, "/login/", session="")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def session_of_a_user() -> str:
    """Return the session cookie of a new user with a video."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - needs Django set up
    from django.test import Client  # noqa: PLC0415 - as above

    user, _ = get_user_model().objects.get_or_create(username="slow-clients")
    browser = Client()
    browser.force_login(user)
    return str(browser.cookies["sessionid"].value)


def main() -> None:
    """Measure without and with slow clients, then send large bodies."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.slow_clients",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--readers", action="store_true", help="clients that do not read")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - needs Django set up

    call_command("migrate", verbosity=0, interactive=False)
    session = session_of_a_user()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tmp"
        folder.mkdir()
        with web_server(folder) as port:
            print("without slow clients:", *map(json.dumps, times(port, session=session, seconds=10)), sep="\n")
            slow = (SlowReaders if arguments.readers else SlowClients)(port, arguments.clients)
            slow.start()
            rows = times(port, session=session, seconds=arguments.seconds)
            slow.stop()
            print(
                f"with {arguments.clients} slow clients ({slow.connects} connects):", *map(json.dumps, rows), sep="\n"
            )
            print("60 MB, not signed in:")
            for path in ("/login/", "/upload/", "/uploads/"):
                print(json.dumps(large_body(port, path, folder)))


if __name__ == "__main__":
    main()
