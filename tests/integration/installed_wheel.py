"""The wheel, built once, in virtual environments that have exactly what it asks for, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
_BUILD_LIMIT_S = 200

HOSTS_OWN = ["django-environ"]
"""What a site has next to batchreel: docs/integration.md, and the requirements.txt of docs/examples/school."""


def build_wheel(folder: Path) -> Path:
    """Build the wheel and the source distribution with scripts/wheel.sh; return the path of the wheel."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        ["sh", "scripts/wheel.sh", str(folder)],  # noqa: S607 - the shell of this machine
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=_BUILD_LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


class Installation:
    """A virtual environment with the wheel, its declared dependencies and those of some extras, and nothing else.

    The dependencies are linked from this process's own environment, in the versions that are locked.
    """

    def __init__(self, wheel: Path, folder: Path, *, extras: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        self.folder = folder
        venv.create(folder, symlinks=True, with_pip=False)
        self.python = folder / "bin" / "python"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        install = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", "--python", self.python, *install, wheel], check=True)
        (information,) = self.packages.glob("batchreel-*.dist-info")
        links = _closure([*_required(PathDistribution(information), {"", *extras}), *others])
        for each in links.values():
            _link(each, self.packages)

    def run(
        self, *arguments: str, cwd: Path, environment: dict[str, str], limit_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )


def _closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Return the distributions that fulfil the requirements, and those that these require, by name."""
    found: dict[str, Distribution] = {}
    waiting, seen = list(requirements), set()
    while waiting:
        line = waiting.pop()
        if line in seen:
            continue
        seen.add(line)
        requirement = Requirement(line)
        found[requirement.name.lower()] = installed = distribution(requirement.name)
        assert installed.version in requirement.specifier, f"{line}, but {installed.version} is locked"
        waiting += _required(installed, {"", *requirement.extras})
    return found


def _required(package: Distribution, extras: set[str]) -> Iterator[str]:
    for line in package.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            requirement.marker = None
            yield str(requirement)


def _link(package: Distribution, packages: Path) -> None:
    """Link the package's files: hard links, because the walls around decoders allow this environment's folder only."""
    for file in package.files or []:
        target = packages / file
        if ".." in file.parts or file.suffix == ".pyc" or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        source = file.locate()
        try:
            os.link(str(source), target)
        except OSError:  # on another file system
            shutil.copyfile(str(source), target)
