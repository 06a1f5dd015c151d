"""scripts/setup.sh with a fake Python that records its calls: no download, no virtual environment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = Path(__file__).resolve().parents[2] / "scripts" / "setup.sh"

PYTHON = """\
#!/bin/sh
# version and modules: succeed; -m venv DIR: copy this program to DIR/bin; -m pip install: run $PIP
echo "$*" >>"$CALLS_FILE"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install "*) sh -c "${PIP:-:}" ;;
esac
"""


class Clone:
    """A folder with scripts/setup.sh and lock files, and a PATH with only a fake python3 and a few standard tools."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self._programs = folder / "bin"
        self._calls_file = folder / "calls"
        self._started: list[subprocess.Popen[str]] = []
        (self.root / "scripts").mkdir(parents=True)
        shutil.copy(SETUP, self.root / "scripts")
        for kind in ("local", "dev"):
            (self.root / f"requirements-{kind}.txt").write_text(f"{kind}==1\n")
        self._programs.mkdir()
        for name in ("sh", "flock", "sha256sum", "cut", "cat", "mv", "rm", "cp", "mkdir", "sleep"):
            (self._programs / name).symlink_to(str(shutil.which(name)))
        self.put_on_path("python3", PYTHON)

    def put_on_path(self, program: str, script: str) -> None:
        """Put a program on the clone's PATH."""
        path = self._programs / program
        path.write_text(script)
        path.chmod(0o755)

    def start(self, kind: str, pip: str = ":") -> subprocess.Popen[str]:
        """Start the setup of `kind`; `pip` is the shell command that replaces `pip install`."""
        process = subprocess.Popen(
            [self._programs / "sh", "-eu", "-c", f". scripts/setup.sh; set_up_python {kind}; command -v python"],
            env={"PATH": str(self._programs), "CALLS_FILE": str(self._calls_file), "PIP": pip},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def set_up(self, kind: str, pip: str = ":") -> tuple[int, str]:
        """Set up `kind`, and return the exit code and the output."""
        process = self.start(kind, pip)
        output, _ = process.communicate(timeout=30)
        return process.returncode, output

    def end(self) -> None:
        """Kill processes that a failed test may have left running."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)

    def installations(self) -> int:
        """Return how often `pip install` ran since the last call of this method."""
        calls = self._calls_file.read_text() if self._calls_file.exists() else ""
        self._calls_file.unlink(missing_ok=True)
        return calls.count("-m pip install ")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    clone = Clone(tmp_path)
    yield clone
    clone.end()


def test_setup_installs_once_with_a_message_when_packages_are_missing(clone: Clone) -> None:
    code, output = clone.set_up("local")
    assert code == 0
    assert output.splitlines()[0].startswith("Installing Python packages into .local/venv")
    assert output.splitlines()[1] == str(clone.root / ".local/venv/bin/python")
    assert clone.installations() == 1
    assert clone.set_up("local") == (0, f"{clone.root}/.local/venv/bin/python\n")
    assert clone.installations() == 0


def test_setup_updates_packages_when_the_lock_file_changes(clone: Clone) -> None:
    clone.set_up("local")
    (clone.root / "requirements-local.txt").write_text("local==2\n")
    _, output = clone.set_up("local")
    assert output.startswith("Updating the Python packages")
    assert clone.installations() == 2


def test_setup_reuses_the_dev_installation_when_the_demo_needs_packages(clone: Clone) -> None:
    clone.set_up("local")
    clone.set_up("dev")
    assert clone.installations() == 2
    clone.set_up("local")
    assert clone.installations() == 0


def test_setup_recreates_the_environment_when_the_clone_was_moved(clone: Clone) -> None:
    clone.set_up("local")
    clone.root = clone.root.rename(clone.root.with_name("moved"))
    _, output = clone.set_up("local")
    assert output.startswith("Installing")
    assert f"{clone.root}/.local/venv/bin/python" in output


def test_setup_starts_over_when_an_installation_was_killed_half_way(clone: Clone) -> None:
    half = clone.root / ".local/venv/half-installed"
    process = clone.start("local", pip=f": >'{half}'; sleep 600")
    wait_for(half.exists, what="an installation in progress")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    code, output = clone.set_up("local")
    assert code == 0
    assert output.startswith("Installing")
    assert not half.exists()


def test_setup_installs_once_when_two_start_at_once(clone: Clone, tmp_path: Path) -> None:
    lock_dir = tmp_path / "an installation"
    # The first pip ends once both setups run; a second installation at the same time would fail at
    # mkdir.
    pip = f"mkdir '{lock_dir}' || exit 1; while [ ! -e '{lock_dir}/end' ]; do sleep 0.01; done; rm -r '{lock_dir}'"
    both = [clone.start("local", pip), clone.start("local", pip)]
    wait_for(lock_dir.exists, what="an installation in progress")
    (lock_dir / "end").touch()
    for process in both:
        process.communicate(timeout=30)
    assert [process.returncode for process in both] == [0, 0]
    assert clone.installations() == 1


def test_setup_names_the_required_version_when_there_is_no_python(clone: Clone) -> None:
    (clone.root.parent / "bin" / "python3").unlink()
    code, output = clone.set_up("local")
    assert code == 1
    assert output.startswith("Python 3.11 or newer is needed, and none was found.")


def test_setup_names_the_found_version_when_python_is_too_old(clone: Clone) -> None:
    clone.put_on_path("python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1\n')
    code, output = clone.set_up("local")
    assert code == 1
    assert output == "Python 3.11 or newer is needed; found only python3 (Python 3.9.2).\n"


def test_setup_uses_a_newer_python_when_python3_is_too_old(clone: Clone) -> None:
    clone.put_on_path("python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1\n')
    clone.put_on_path("python3.12", PYTHON)
    assert clone.set_up("local")[0] == 0


def test_setup_names_the_package_when_python_has_no_venv_module(clone: Clone) -> None:
    clone.put_on_path("python3", '#!/bin/sh\ncase "$*" in *venv*) exit 1 ;; esac\n')
    code, output = clone.set_up("local")
    assert code == 1
    assert output == "python3 has no venv module. On Debian and Ubuntu: apt-get install python3-venv\n"


def test_setup_shows_pips_error_when_packages_cannot_be_installed(clone: Clone) -> None:
    code, output = clone.set_up("local", pip="echo 'ERROR: no network'; exit 1")
    assert code == 1
    assert "ERROR: no network" in output
    assert output.splitlines()[-1].startswith("The Python packages could not be installed")
    code, output = clone.set_up("local")
    assert code == 0
