"""Installing the pages' npm packages with the real npm, which needs no network for an empty package list."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from project.local.frontend import install_frontend
from project.local.servers.ports import free_port


class PackageLists:
    """A package.json and its lock file, a folder to install into, and the messages of the installation."""

    def __init__(self, folder: Path) -> None:
        self.source_dir, self.target_dir = folder / "lists", folder / "installed here"
        self.source_dir.mkdir()
        self.messages: list[str] = []
        self.write()

    def write(self, version: str = "1.0.0", **dependencies: str) -> None:
        """Write both files; the lock file contains only the versions of the dependencies."""
        root = {"name": "pages", "version": version, "dependencies": dependencies}
        packages = {f"node_modules/{name}": {"version": number} for name, number in dependencies.items()}
        lock = {"name": "pages", "version": version, "lockfileVersion": 3, "packages": {"": root, **packages}}
        (self.source_dir / "package.json").write_text(json.dumps(root))
        (self.source_dir / "package-lock.json").write_text(json.dumps(lock))

    def install(self, *, limit_s: float = 60) -> bool:
        """Install the listed packages."""
        return install_frontend(
            report=self.messages.append, source_dir=self.source_dir, target_dir=self.target_dir, limit_s=limit_s
        )


@pytest.fixture
def lists(tmp_path: Path) -> PackageLists:
    return PackageLists(tmp_path)


def test_packages_are_installed_again_only_when_their_lists_change(lists: PackageLists) -> None:
    assert lists.install()
    assert lists.install()
    assert len(lists.messages) == 1
    lists.write("2.0.0")
    assert lists.install()
    assert len(lists.messages) == 2


def test_packages_are_installed_once_when_several_start_together(lists: PackageLists) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(lambda _: lists.install(), range(3)))
    assert len(lists.messages) == 1


def test_installation_reports_one_line_when_the_registry_is_unreachable(
    lists: PackageLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{free_port()}/")
    lists.write(something="1.0.0")
    assert not lists.install(limit_s=30)
    (message,) = lists.messages
    assert message.startswith("The player's libraries could not be installed: ")
    assert "\n" not in message
    lists.write()
    assert lists.install(), "a failed installation is not retried"


def test_installation_reports_a_timeout_when_npm_hangs(lists: PackageLists) -> None:
    assert not lists.install(limit_s=0.01)
    assert "npm did not finish within 0.01 s" in lists.messages[0]
