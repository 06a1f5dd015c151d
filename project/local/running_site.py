"""The environment of a running `scripts/dev`, so that other programs can use the same servers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from project.local.state_lock import is_locked

_FILE = "environment.json"

WEB_URL = "LOCAL_SITE_URL"
"""The variable that names the URL of the running site's pages."""


@contextmanager
def shared_environment(state_dir: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Share the environment with `running_environment` while the block runs.

    Only the file's owner can read it.
    """
    path = state_dir / _FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(dict(environment), file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_environment(state_dir: Path) -> dict[str, str] | None:
    """Return the environment of the site that runs on this state folder, or None if there is none."""
    try:
        environment: dict[str, str] = json.loads((state_dir / _FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    # A killed site leaves the file behind, but not the lock.
    return environment if is_locked(state_dir / "stack") else None
