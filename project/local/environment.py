"""The environment of a laptop's site: what `scripts/demo` and `scripts/dev` set beside the local stack's own variables."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

STATE_DIR = Path(__file__).resolve().parents[2] / ".local" / "site"
"""Shared by the demo and the development site, so that the one shows what the other made."""

LIVELY = {
    "heartbeat_s": 2,
    "submit_tick_s": 5,
    "observe_tick_s": 5,
    "rescue_tick_s": 10,
    "reap_tick_s": 15,
    "poll_running_s": 10,
}
"""Shorter periods than in production, where a heartbeat each 20 s is plenty: here somebody is watching."""


def site_environment(state_dir: Path) -> dict[str, str]:
    """What Django, Celery and the containers need on a laptop. A variable that is set already is left as it is."""
    wanted = {
        "SECRET_KEY": stored_secret(state_dir / "secret-key"),
        "DEBUG": "on",
        "HTTPS": "off",
        "MEDIA_ROOT": str(state_dir / "media"),
        "STATIC_ROOT": str(state_dir / "static"),
        "BATCHREEL": json.dumps(LIVELY),
        "PYTHONUNBUFFERED": "1",
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def stored_secret(path: Path, *, length_bytes: int = 48) -> str:
    """The random secret in this file, which only its owner can read; made at the first call."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(length_bytes))
        # Whole or not at all; and of two programs that start at once, both get the first one's.
        with suppress(FileExistsError):
            path.hardlink_to(unfinished)
        Path(unfinished).unlink()
    return path.read_text()


def given_path(text: str) -> Path:
    """A path as the person meant it: the scripts change the folder, and say in CALLER_DIR where they were called."""
    return Path(os.environ.get("CALLER_DIR", "")) / text
