"""Fixtures for tests of services and pages: a scripted port, browsers of staff and of a teacher, storage per test."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.factories import ScriptedBatch, lecturer


@pytest.fixture
def batch() -> ScriptedBatch:
    return ScriptedBatch()


@pytest.fixture
def staff(client: Client, admin_user: User) -> Client:
    """Browser in which a staff member has signed in."""
    client.force_login(admin_user)
    return client


@pytest.fixture
def teacher() -> Client:
    """Browser in which a person has signed in who may upload, and has no other permission."""
    client = Client()
    client.force_login(lecturer("teacher"))
    return client


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns about a missing folder
