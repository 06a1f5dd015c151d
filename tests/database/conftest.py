"""Fixtures of the service tests: a scripted port, storage in a folder of the test's own, no hint to a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.factories import ScriptedBatch


@pytest.fixture
def batch() -> ScriptedBatch:
    return ScriptedBatch()


@pytest.fixture
def staff(client: Client, admin_user: User) -> Client:
    """A browser in which a member of staff has signed in."""
    client.force_login(admin_user)
    return client


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns of a folder that is not there
