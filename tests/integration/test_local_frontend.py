"""Installing what the pages load, with the real npm, which needs no network for an empty list."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from project.local.frontend import install_frontend
from project.local.servers.ports import free_port


class Lists:
    """Lists for npm, a folder to install into, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.source_dir, self.target_dir = folder / "lists", folder / "installed here"
        self.source_dir.mkdir()
        self.said: list[str] = []
        self.write()

    def write(self, version: str = "1.0.0", **dependencies: str) -> None:
        """Write both lists; a dependency is a name and a version, of which the lock says no more."""
        root = {"name": "pages", "version": version, "dependencies": dependencies}
        packages = {f"node_modules/{name}": {"version": number} for name, number in dependencies.items()}
        lock = {"name": "pages", "version": version, "lockfileVersion": 3, "packages": {"": root, **packages}}
        (self.source_dir / "package.json").write_text(json.dumps(root))
        (self.source_dir / "package-lock.json").write_text(json.dumps(lock))

    def install(self, *, limit_s: float = 60) -> bool:
        """Install them."""
        return install_frontend(
            say=self.said.append, source_dir=self.source_dir, target_dir=self.target_dir, limit_s=limit_s
        )


@pytest.fixture
def lists(tmp_path: Path) -> Lists:
    return Lists(tmp_path)


def test_lists_are_installed_once_until_they_change(lists: Lists) -> None:
    assert lists.install()
    assert lists.install()
    assert len(lists.said) == 1
    lists.write("2.0.0")
    assert lists.install()
    assert len(lists.said) == 2


def test_lists_are_installed_once_when_several_begin_together(lists: Lists) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(lambda _: lists.install(), range(3)))
    assert len(lists.said) == 1


def test_one_sentence_says_why_when_the_registry_is_away(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{free_port()}/")
    lists.write(something="1.0.0")
    assert not lists.install(limit_s=30)
    (message,) = lists.said
    assert message.startswith("The player's hls.js could not be installed: ")
    assert "\n" not in message
    lists.write()
    assert lists.install(), "what failed is tried again"


def test_one_sentence_says_so_when_npm_hangs(lists: Lists) -> None:
    assert not lists.install(limit_s=0.01)
    assert "npm did not end within 0.01 s" in lists.said[0]
