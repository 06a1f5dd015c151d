"""The pages and the admin on a site with other settings of Django than Batchreel's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.db import connection
from django.test import AsyncClient, Client
from django.urls import get_resolver, reverse, set_script_prefix

from tasks.doctor.finding import Status
from tasks.doctor.probes.database import check_database
from tasks.models import Video
from tasks.services.requests.share import create_share_link
from tests.factories import uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

UPLOADED_AT = datetime(2026, 1, 2, 6, 4, 5, tzinfo=UTC)


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def video(owner: User) -> Video:
    video = uploaded_video()
    Video.objects.filter(pk=video.pk).update(created_at=UPLOADED_AT, owner=owner)
    return video


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_right_without_javascript_when_the_site_has_another_time_zone(
    client: Client, settings: Settings, owner: User, video: Video, *, use_tz: bool
) -> None:
    client.force_login(owner)
    settings.TIME_ZONE = "Asia/Seoul"
    settings.USE_TZ = use_tz
    create_share_link(video_id=video.pk, days=7)
    for url, times in ((reverse("batchreel:list"), 1), (reverse("batchreel:video", args=[video.pk]), 2)):
        shown = re.findall(r'<time datetime="([^"]*)"[^>]*>([^<]*)</time>', client.get(url).content.decode())
        assert ("2026-01-02T15:04:05+09:00", "2 January 2026, 15:04 KST") in shown, url
        assert len(shown) == times, "its upload, and on its page a share link"
        assert all(machine.endswith("+09:00") and text.endswith(" KST") for machine, text in shown), shown


def test_admin_needs_no_admin_of_the_user_model_when_the_site_has_none() -> None:
    admin.site.unregister(User)
    try:
        assert run_checks(tags=["admin"]) == []
    finally:
        from django.contrib.auth.admin import UserAdmin  # noqa: PLC0415 - registers itself at import

        if not admin.site.is_registered(User):
            admin.site.register(User, UserAdmin)


def test_no_view_calls_the_bucket_in_a_transaction_when_requests_are_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", value=True)
    for namespace in ("batchreel", "batchreel-api"):
        _, urls = get_resolver().namespace_dict[namespace]
        for pattern in urls.url_patterns:
            assert "default" in getattr(pattern.callback, "_non_atomic_requests", set()), pattern.name


def test_addresses_begin_with_the_prefix_when_the_site_is_below_one(client: Client, owner: User) -> None:
    client.force_login(owner)
    set_script_prefix("/school/")  # as Django's handlers do with FORCE_SCRIPT_NAME
    try:
        page = client.get("/").content.decode()
    finally:
        set_script_prefix("/")
    addresses = set(re.findall(r'(?:action|data-[a-z-]*url)="(/[^"]*)"', page))
    assert addresses
    assert all(address.startswith("/school/") for address in addresses), addresses


def test_page_is_shown_when_the_site_runs_under_asgi() -> None:
    assert async_to_sync(AsyncClient().get)(reverse("batchreel:list")).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_doctor_compares_the_clocks_when_the_site_has_no_time_zones(settings: Settings) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Seoul"
    assert {each.part: each.status for each in check_database()}["clock"] is Status.OK


def test_system_check_fails_when_a_router_moves_the_rows(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = ["tests.database.web.test_host_django.Elsewhere"]
    assert [message.id for message in run_checks(tags=["batchreel"])] == ["batchreel.E033"]


class Elsewhere:
    """A router that moves Batchreel's rows to another database."""

    def db_for_write(self, model: type, **_: object) -> str | None:
        return "other" if model is Video else None
