"""Costs are shown to staff and operators only: page, JSON, admin, command."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from tasks.models import Attempt, DayCost, Video
from tests.factories import published, submitted_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def video() -> Video:
    """Return a published video that cost 4 cents, one of them lost to Spot."""
    video = published()
    Attempt.objects.update(
        started_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
        purchase="spot",
        price_source="spot-history",
        price_vcpu_h_usd=Decimal("0.016"),
        cost_usd=Decimal("0.04"),
        wasted_usd=Decimal("0.01"),
        wasted_by="spot",
    )
    DayCost.objects.create(
        day=datetime(2026, 11, 20, tzinfo=UTC).date(),
        purchase="spot",
        source="spot-history",
        attempts=1,
        vcpu_h=2.5,
        cost_usd=Decimal("0.04"),
        spot_usd=Decimal("0.01"),
    )
    return video


def owner_of(video: Video, client: Client) -> Client:
    owner = User.objects.create_user("owner")
    Video.objects.filter(pk=video.pk).update(owner=owner)
    client.force_login(owner)
    return client


def test_page_shows_the_cost_to_operators_only_when_a_video_has_one(video: Video, staff: Client) -> None:
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert "Cost: $0.0400, of which $0.0100 (25 %) was lost to Spot." in page
    assert "Without the time in which machines start or wait for work" in page
    assert "Cost:" not in owner_of(video, staff).get(f"/videos/{video.pk}/").content.decode()


def test_progress_has_the_cost_for_operators_only_when_a_script_asks(video: Video, staff: Client) -> None:
    asked = {"video": [str(video.pk)]}
    cost = staff.get("/progress/", asked).json()["videos"][str(video.pk)]["cost"]
    assert cost == {
        "usd": "0.04000000",
        "wasted_usd": {"spot": "0.01000000"},
        "by_price_source_usd": {"spot-history": "0.04000000"},
        "containers_not_included": 0,
    }
    assert "cost" not in owner_of(video, staff).get("/progress/", asked).json()["videos"][str(video.pk)]


def test_page_shows_that_the_cost_is_unknown_when_no_container_has_ended(staff: Client) -> None:
    attempt = submitted_attempt()
    assert "Cost: Not known yet" in staff.get(f"/videos/{attempt.job.video_id}/").content.decode()


@pytest.mark.parametrize("model", ["video", "job", "attempt"])
def test_admin_shows_the_cost_when_it_is_known(model: str, video: Video, staff: Client) -> None:
    attempt = Attempt.objects.get()
    pk = {"video": video.pk, "job": attempt.job_id, "attempt": attempt.pk}[model]
    page = staff.get(f"/admin/batchreel/{model}/{pk}/change/").content.decode()
    assert "0.0400" in page
    assert staff.get("/admin/batchreel/attempt/").content.decode().count("$0.0400, $0.0100 lost to spot") == 1


def test_month_is_a_table_with_totals_and_sources_when_containers_ran(video: Video) -> None:
    out = io.StringIO()
    call_command("costs", month="2026-11", stdout=out)
    heading, day, total, sources, note = out.getvalue().splitlines()
    assert heading.split() == [
        "day",
        "attempts",
        "cost",
        "lost",
        "to",
        "Spot",
        "to",
        "retries",
        "to",
        "cancels",
        "lost",
    ]
    assert day.split() == ["2026-11-20", "1", "$0.0400", "$0.0100", "-", "-", "25", "%"]
    assert total.split()[0] == "total"
    assert sources == "100 % by AWS's history of Spot prices: $0.0400"
    assert note.startswith("Without")


def test_month_is_csv_by_video_when_asked_for(video: Video) -> None:
    out = io.StringIO()
    call_command("costs", "--month", "2026-11", "--by", "video", "--csv", stdout=out)
    (row,) = csv.DictReader(io.StringIO(out.getvalue()))
    assert row == {
        "video": f"{video.pk} Lecture 1",
        "attempts": "1",
        "cost_usd": "0.04000000",
        "lost_to_spot_usd": "0.01000000",
        "lost_to_retries_usd": "0",
        "lost_to_cancels_usd": "0",
        "by_spot_history_usd": "0.04000000",
        "by_list_usd": "0",
        "by_setting_usd": "0",
    }


def test_month_without_containers_is_named_when_asked_for(video: Video) -> None:
    out = io.StringIO()
    call_command("costs", month="2026-12", stdout=out)
    assert out.getvalue() == "No container started in 2026-12, or none has ended yet.\n"


@pytest.mark.parametrize("month", ["2026-13", "November", "2026-1", "0000-01"])
def test_month_is_rejected_when_it_is_not_one(month: str) -> None:
    with pytest.raises(CommandError, match="is not a month"):
        call_command("costs", month=month)
