"""Environment of the local site: what `scripts/demo` and `scripts/dev` add to the stack's variables."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

STATE_DIR = Path(__file__).resolve().parents[2] / ".local" / "site"
"""Shared by the demo and the development site, so that each shows the videos of the other."""

SHORT_PERIODS = {
    "heartbeat_s": 2,
    "submit_tick_s": 5,
    "observe_tick_s": 5,
    "rescue_tick_s": 10,
    "reap_tick_s": 15,
    "purge_tick_s": 15,
    "cost_tick_s": 15,
    "deliver_tick_s": 2,
    "edit_tick_s": 2,
    "poll_running_s": 10,
    "machine_hold_s": 0,
}
"""Shorter periods than in production, where a heartbeat every 20 s is enough: here the user is watching.
And a container that suspects its machine leaves at once: there is no other one that could do better."""


def site_environment(state_dir: Path) -> dict[str, str]:
    """Return what Django, Celery and the containers need on a developer's machine.

    Variables that are already set keep their values.
    """
    wanted = {
        "SECRET_KEY": stored_secret(state_dir / "secret-key"),
        "DEBUG": "on",
        "HTTPS": "off",
        "MEDIA_ROOT": str(state_dir / "media"),
        "STATIC_ROOT": str(state_dir / "static"),
        "BATCHREEL": json.dumps(SHORT_PERIODS),
        "PYTHONUNBUFFERED": "1",
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def host_environment() -> dict[str, str]:
    """Return what a site of your own gets in addition to the stack's variables: short periods.

    Its own settings have the rest. A variable that is already set keeps its value.
    """
    return {"BATCHREEL": os.environ.get("BATCHREEL") or json.dumps(SHORT_PERIODS)}


def first_environment() -> dict[str, str]:
    """Return the environment that this process was started with.

    The import of `project` adds DJANGO_SETTINGS_MODULE, which no site of your own may get.
    """
    if sys.platform != "linux":
        return dict(os.environ)
    lines = Path("/proc/self/environ").read_bytes().split(b"\0")
    return {
        os.fsdecode(name): os.fsdecode(value) for name, _, value in (line.partition(b"=") for line in lines) if name
    }


def stored_secret(path: Path, *, length_bytes: int = 48) -> str:
    """Return the random secret in this file, which only its owner can read.

    The first call creates it.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(length_bytes))
        # Atomic: the file is complete or missing, and two programs that start at once both get the
        # secret of the first.
        with suppress(FileExistsError):
            path.hardlink_to(unfinished)
        Path(unfinished).unlink()
    return path.read_text()


def caller_path(text: str) -> Path:
    """Resolve a path relative to the caller's folder.

    The scripts change the working directory, and pass the original one in CALLER_DIR.
    """
    return Path(os.environ.get("CALLER_DIR", "")) / text
