"""Fixtures shared by the tests of the media engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.media.runs import Transcode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def transcode(tmp_path: Path) -> Transcode:
    return Transcode(tmp_path)
