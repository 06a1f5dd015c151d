"""Benchmark: bytes that a container which does a whole job alone reads from the storage and from its disk.

Its memory is limited to half the size of the source, so that the page cache cannot keep all of it: 3500 MiB and 6.75 GB
are a container's by default and a lecture of three hours. That takes root and cgroups; otherwise, the disk is not read.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[4]
FORMATS: dict[str, tuple[str, ...]] = {
    "index first.mp4": ("-movflags", "+faststart"),
    "index last.mp4": (),
    "cues.mkv": (),
    "stream.ts": (),
}
"""Name of the file -> arguments of its muxer."""

_CLIP_S, _CLIP_BPS, _RATE = 60, 20_000_000, 10
_LEAST_MEMORY_BYTES = 512 * 1024 * 1024
"""What the programs need, with some room."""

_WITH_DJANGO = (
    "import django, runpy, sys; django.setup(); del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Runs a file, and its imports, once Django is set up."""

_THIS, _OTHER = "this", "other"


def measured(megabytes: int, checkout: Path | None) -> list[dict[str, Any]]:
    """Return a row per format and build: how often the source and the outputs are read, by kind of unit."""
    builds = {_THIS: ROOT} if checkout is None else {_OTHER: checkout.resolve(), _THIS: ROOT}
    with tempfile.TemporaryDirectory(prefix="moved-") as folder:
        clip = Path(folder) / "clip.mp4"
        # Filler makes it large and leaves it easy to decode.
        _ffmpeg(
            *("-f", "lavfi", "-i", f"testsrc2=s=192x108:r={_RATE}:d={_CLIP_S}"),
            *("-f", "lavfi", "-i", f"sine=r=48000:d={_CLIP_S}", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"),
            *("-g", str(5 * _RATE), "-b:v", str(_CLIP_BPS), "-maxrate", str(_CLIP_BPS), "-bufsize", str(_CLIP_BPS)),
            *("-x264-params", "nal-hrd=cbr", "-c:a", "aac", str(clip)),
        )
        loops = max(1, megabytes * 1_000_000 // clip.stat().st_size)
        rows = []
        for name, arguments in FORMATS.items():
            source = Path(folder) / name
            _ffmpeg("-stream_loop", str(loops - 1), "-i", str(clip), "-c", "copy", *arguments, str(source))
            for build, root in builds.items():
                rows.append({"format": name, "build": build, **_row(source, root)})
                sys.stderr.write(f"{rows[-1]}\n")
            source.unlink()
        return rows


def _row(source: Path, root: Path) -> dict[str, Any]:
    size_bytes = source.stat().st_size
    with (
        tempfile.TemporaryDirectory(dir=source.parent) as folder,
        _served(source) as url,
        _limited(max(size_bytes // 2, _LEAST_MEMORY_BYTES)) as prefix,
    ):
        program = Path(__file__).with_name("lone_container.py")
        found = json.loads(
            subprocess.run(
                [*prefix, sys.executable, "-c", _WITH_DJANGO, str(program), folder, url, str(size_bytes)],
                env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=root,
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
        )
    kinds, outputs = found["kinds"], found["output_bytes"]
    read = {f"{kind}_reads": round(kinds[kind]["read_bytes"] / size_bytes, 2) for kind in ("plan", "video", "audio")}
    return {
        "memory": "limited" if prefix else "all",
        "of_storage": round(found["served_bytes"] / size_bytes, 3),
        **read,
        "plan_disk": round(kinds["plan"]["disk_bytes"] / size_bytes, 2),
        "all_disk": round(sum(kind["disk_bytes"] for kind in kinds.values()) / size_bytes, 2),
        "output_reads": round(kinds["publish"]["read_bytes"] / outputs, 2),
        "plan_s": round(kinds["plan"]["s"], 1),
        "peak": round(found["peak_bytes"] / size_bytes, 2),
    }


@contextmanager
def _served(source: Path) -> Iterator[str]:
    """Serve a file, which supports ranges, from a process of its own; yield its URL."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(source, sender), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}/"
    finally:
        server.terminate()
        server.join()


def _serve(source: Path, sender: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first, last = (int(number) for number in re.findall(r"\d+", self.headers["Range"]))
            self.send_response(206)
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            self.wfile.flush()
            with source.open("rb") as file:
                while first <= last:
                    first += os.sendfile(self.connection.fileno(), file.fileno(), first, last + 1 - first)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sender.send(server.server_port)
        server.serve_forever()


@contextmanager
def _limited(memory_bytes: int) -> Iterator[list[str]]:
    """Yield a prefix for a command, which limits its memory and page cache; empty if that is not possible here."""
    group, limit = Path("/sys/fs/cgroup/memory", f"batchreel-bench-{os.getpid()}"), "memory.limit_in_bytes"
    if not group.parent.is_dir():
        group, limit = Path("/sys/fs/cgroup", group.name), "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(memory_bytes))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield []
        return
    try:
        yield ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg_binary(), "-nostdin", "-v", "error", "-y", *arguments], check=True)
