"""scripts/setup.sh, with a stand-in for Python that writes down what it was asked: no download, no virtual environment."""

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
# version and modules: there; -m venv DIR: a copy of this program in DIR/bin; -m pip: whatever $PIP says
echo "$*" >>"$ASKED"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install "*) sh -c "${PIP:-:}" ;;
esac
"""


class Clone:
    """A folder with scripts/setup.sh, lock files, and a stand-in for python3 that is alone on PATH with coreutils."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self._programs = folder / "bin"
        self._asked = folder / "asked"
        self._started: list[subprocess.Popen[str]] = []
        (self.root / "scripts").mkdir(parents=True)
        shutil.copy(SETUP, self.root / "scripts")
        for kind in ("local", "dev"):
            (self.root / f"requirements-{kind}.txt").write_text(f"{kind}==1\n")
        self._programs.mkdir()
        for name in ("sh", "flock", "sha256sum", "cut", "cat", "mv", "rm", "cp", "mkdir", "sleep"):
            (self._programs / name).symlink_to(str(shutil.which(name)))
        self.have("python3", PYTHON)

    def have(self, program: str, script: str) -> None:
        """Put a program on PATH."""
        path = self._programs / program
        path.write_text(script)
        path.chmod(0o755)

    def start(self, kind: str, pip: str = ":") -> subprocess.Popen[str]:
        """Start a set-up of `kind`; `pip` is what pip's stand-in does."""
        process = subprocess.Popen(
            [self._programs / "sh", "-eu", "-c", f". scripts/setup.sh; set_up_python {kind}; command -v python"],
            env={"PATH": str(self._programs), "ASKED": str(self._asked), "PIP": pip},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def set_up(self, kind: str, pip: str = ":") -> tuple[int, str]:
        """Set up `kind` and return exit code and output."""
        process = self.start(kind, pip)
        output, _ = process.communicate(timeout=30)
        return process.returncode, output

    def end(self) -> None:
        """Kill what a failed test may have left."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)

    def installations(self) -> int:
        """How often pip was asked to install since the last call."""
        asked = self._asked.read_text() if self._asked.exists() else ""
        self._asked.unlink(missing_ok=True)
        return asked.count("-m pip install ")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    clone = Clone(tmp_path)
    yield clone
    clone.end()


def test_packages_are_installed_with_a_line_that_says_so_at_first_and_silently_not_again(clone: Clone) -> None:
    code, said = clone.set_up("local")
    assert code == 0
    assert said.splitlines()[0].startswith("Installing Python packages into .local/venv")
    assert said.splitlines()[1] == str(clone.root / ".local/venv/bin/python")
    assert clone.installations() == 1
    assert clone.set_up("local") == (0, f"{clone.root}/.local/venv/bin/python\n")
    assert clone.installations() == 0


def test_packages_are_brought_up_to_date_when_the_lock_file_changes(clone: Clone) -> None:
    clone.set_up("local")
    (clone.root / "requirements-local.txt").write_text("local==2\n")
    _, said = clone.set_up("local")
    assert said.startswith("Bringing the Python packages")
    assert clone.installations() == 2


def test_an_installation_for_development_serves_the_demo_too_but_not_the_other_way_round(clone: Clone) -> None:
    clone.set_up("local")
    clone.set_up("dev")
    assert clone.installations() == 2
    clone.set_up("local")
    assert clone.installations() == 0


def test_the_environment_is_made_anew_when_the_clone_was_moved(clone: Clone) -> None:
    clone.set_up("local")
    clone.root = clone.root.rename(clone.root.with_name("moved"))
    _, said = clone.set_up("local")
    assert said.startswith("Installing")
    assert f"{clone.root}/.local/venv/bin/python" in said


def test_the_installation_begins_again_when_it_was_killed_half_way(clone: Clone) -> None:
    half = clone.root / ".local/venv/half-installed"
    process = clone.start("local", pip=f": >'{half}'; sleep 600")
    wait_for(half.exists, what="an installation that goes on")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    code, said = clone.set_up("local")
    assert code == 0
    assert said.startswith("Installing")
    assert not half.exists()


def test_one_installs_and_the_other_waits_when_two_start_at_once(clone: Clone, tmp_path: Path) -> None:
    going_on = tmp_path / "going on"
    # The first one's pip ends when the second one runs; a second installation at the same time would fail at mkdir.
    pip = f"mkdir '{going_on}' || exit 1; while [ ! -e '{going_on}/end' ]; do sleep 0.01; done; rm -r '{going_on}'"
    both = [clone.start("local", pip), clone.start("local", pip)]
    wait_for(going_on.exists, what="an installation that goes on")
    (going_on / "end").touch()
    for process in both:
        process.communicate(timeout=30)
    assert [process.returncode for process in both] == [0, 0]
    assert clone.installations() == 1


def test_a_sentence_says_what_is_missing_when_there_is_no_python(clone: Clone) -> None:
    (clone.root.parent / "bin" / "python3").unlink()
    code, said = clone.set_up("local")
    assert code == 1
    assert said.startswith("Python 3.11 or newer is needed, and none was found.")


def test_a_sentence_names_what_was_found_when_python_is_too_old(clone: Clone) -> None:
    clone.have("python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1\n')
    code, said = clone.set_up("local")
    assert code == 1
    assert said == "Python 3.11 or newer is needed; found only python3 (Python 3.9.2).\n"


def test_a_newer_python_is_taken_when_python3_is_too_old(clone: Clone) -> None:
    clone.have("python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1\n')
    clone.have("python3.12", PYTHON)
    assert clone.set_up("local")[0] == 0


def test_a_sentence_names_the_package_when_python_has_no_venv_module(clone: Clone) -> None:
    clone.have("python3", '#!/bin/sh\ncase "$*" in *venv*) exit 1 ;; esac\n')
    code, said = clone.set_up("local")
    assert code == 1
    assert said == "python3 has no venv module. On Debian and Ubuntu: apt-get install python3-venv\n"


def test_a_sentence_follows_pips_own_when_packages_cannot_be_installed(clone: Clone) -> None:
    code, said = clone.set_up("local", pip="echo 'ERROR: no network'; exit 1")
    assert code == 1
    assert "ERROR: no network" in said
    assert said.splitlines()[-1].startswith("The Python packages could not be installed")
    code, said = clone.set_up("local")
    assert code == 0
