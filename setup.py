"""What pyproject.toml cannot express: the package `tasks` is installed as `batchreel`, with the player.

`scripts/build` adds the player's files from npm; a source distribution contains them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

ROOT = Path(__file__).parent
PLAYER = ROOT / "tasks" / "static" / "batchreel" / "vendor" / "hls.js"


class BuildWithPlayer(build_py):
    """Build the wheel's contents, and refuse to do it without the player."""

    def run(self) -> None:
        """Raise SetupError if the player's files are missing, which pip would not notice."""
        if not self.editable_mode and not PLAYER.is_file():
            message = "The player's files from npm are missing: build the wheel with scripts/build."
            raise SetupError(message)
        super().run()


def readme() -> str:
    """Return README.md with absolute links, because the package index resolves no relative ones.

    The environment variable `REPOSITORY_URL` is where the repository is; the links lead to the tag of this version.
    Without it, they stay relative.
    """
    text = (ROOT / "README.md").read_text()
    url = os.environ.get("REPOSITORY_URL", "").rstrip("/")
    if not url:
        return text
    (version,) = re.findall(r'__version__ = "(.+)"', (ROOT / "tasks" / "__init__.py").read_text())
    text = text.replace("REPOSITORY_URL", url)
    shown = re.sub(r"!\[([^]]*)\]\((?!https?:)", rf"![\1]({url}/raw/v{version}/", text)
    return re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:|#)", rf"[\1]({url}/blob/v{version}/", shown)


setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    packages=["batchreel", *(f"batchreel.{name}" for name in find_packages("tasks"))],
    cmdclass={"build_py": BuildWithPlayer},
)
