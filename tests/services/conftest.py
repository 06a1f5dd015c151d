"""Fixtures of the service tests: a scripted port, storage in a folder of the test's own, no hint to a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.services.making import ScriptedBatch


@pytest.fixture
def batch() -> ScriptedBatch:
    return ScriptedBatch()


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
