"""A lecturer with a token, and a private bucket for uploads in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.buckets import use_new_bucket
from tests.database.api.clients import Store, with_token
from tests.factories import lecturer

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.test import APIClient


@pytest.fixture
def client() -> APIClient:
    return with_token(lecturer())


@pytest.fixture
def bucket(settings: Settings, _own_storage: None) -> Store:
    return Store(*use_new_bucket(settings))
