"""What pyproject.toml cannot express: the package `tasks` is installed as `batchreel`, with the player.

`scripts/build` adds the player's files from npm; a source distribution contains them.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

PLAYER = Path(__file__).parent / "tasks" / "static" / "batchreel" / "hls.js" / "hls.min.js"


class BuildWithPlayer(build_py):
    """Build the wheel's contents, and refuse to do it without the player."""

    def run(self) -> None:
        """Raise SetupError if the player's files are missing, which pip would not notice."""
        if not self.editable_mode and not PLAYER.is_file():
            message = "The player's files from npm are missing: build the wheel with scripts/build."
            raise SetupError(message)
        super().run()


setup(
    packages=["batchreel", *(f"batchreel.{name}" for name in find_packages("tasks"))],
    cmdclass={"build_py": BuildWithPlayer},
)
