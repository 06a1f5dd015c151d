"""The two demo videos of a new site have an owner and are uploaded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from project.local.accounts import ACCOUNTS, ensure_accounts
from project.local.demo.videos import DEMO_VIDEOS, ensure_demo_videos
from tasks.models import Video

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db


@pytest.mark.long
def test_demo_videos_are_uploaded_once_when_the_site_starts_again(tmp_path: Path) -> None:
    password = ensure_accounts(tmp_path)
    assert ensure_accounts(tmp_path) == password, "the login stays the same"
    assert ensure_demo_videos(tmp_path) == len(DEMO_VIDEOS)
    assert ensure_demo_videos(tmp_path) == 0
    assert set(Video.objects.values_list("title", "owner__username")) == {(title, "teacher") for title in DEMO_VIDEOS}
    assert {"admin", "teacher", "student"} == {account.name for account in ACCOUNTS}
