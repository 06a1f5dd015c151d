"""The chart of the work on a job: what happened is visible, in the drawing, in words and as a table."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tasks.admin.work.drawing import chart_of
from tasks.admin.work.lanes import NARROW_PX, bars_of, rows_of
from tasks.admin.work.scale import Scale
from tasks.admin.work.words import summary, table
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import UnitEvent
from tasks.models import Event, Job
from tasks.selectors.operations.work import MAX_CONTAINERS, Outcome, work_of
from tests.factories import claimed, finished_media, planned, submitted_attempt, uploaded_video
from tests.work_rows import at, large_work, names, new_rows, work_with_a_reclaimed_container

pytestmark = pytest.mark.django_db


def svg_of(page: str) -> ET.Element:
    """Return the drawing of a page. It is well-formed XML."""
    found = re.search(r"<svg viewBox=\"0 0 1000 .*?</svg>", page, flags=re.DOTALL)
    assert found
    return ET.fromstring(found[0])  # noqa: S314 - our own page


def test_work_has_the_lost_units_and_who_repeated_them_when_a_machine_is_reclaimed() -> None:
    work = work_of(work_with_a_reclaimed_container())
    assert [each.attempt.number for each in work.containers] == [1, 2, 3, 4]
    lost = work.containers[2]
    assert names(lost.units(Outcome.LOST)) == ["video 4", "video 5"]
    assert names(lost.units(Outcome.DONE)) == ["video 3"]
    assert {lease.ended_at for lease in lost.units(Outcome.LOST)} == {at(184)}
    again = [(lease.number, lease.name) for each in work.containers for lease in each.leases if lease.after]
    assert again == [(1, "video 5"), (4, "video 4")]
    assert sum(len(each.units(Outcome.DONE)) for each in work.containers) == 27
    assert work.units_are_known


def test_chart_says_in_words_what_happened_when_a_machine_is_reclaimed() -> None:
    work = work_of(work_with_a_reclaimed_container())
    assert summary(work) == [
        "4 containers worked on the job.",
        (
            "Container 3 ended at 10:03:04: AWS interrupted the Spot instance. It lost 2 units: video 4, video 5."
            " Containers 1, 4 did that again."
        ),
        "Published at 10:07:00, 7 min 0 s after the request.",
    ]
    row = table(work)[2]
    assert (row.number, row.role, row.done, row.lost) == (3, "helper", 1, "video 4, video 5")
    assert (row.machine, row.waited, row.began, row.ended) == (
        "c7g.xlarge eu-central-1a spot",
        "57 s",
        "10:01:06",
        "10:03:04",
    )
    assert row.how == "AWS interrupted the Spot instance."


def test_job_page_draws_a_lane_for_each_container_when_one_was_lost(staff: Client) -> None:
    job = work_with_a_reclaimed_container()
    page = staff.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
    drawing = svg_of(page)
    lanes = drawing.findall("g[@class='container']")
    assert len(lanes) == 4
    lost = [each.find("title").text for each in lanes[2].findall("rect") if "lost" in each.attrib["class"]]  # type: ignore[union-attr]  # each has one
    assert sorted(map(str, lost)) == [
        "video 4, 10:01:14 to 10:03:04 (1 min 50 s): lost with its container",
        "video 5, 10:02:10 to 10:03:04 (54 s): lost with its container",
    ]
    assert [each.text for each in drawing.findall("text[@class='loss']")] == [
        "AWS interrupted the Spot instance (10:03:04)"
    ]
    # Not by colour alone: a cross, a hatch, an outline, and lines to what was done again.
    assert len(drawing.findall("g[@class='loss']")) == 1
    assert len(drawing.findall("path[@class='link']")) == 2
    assert len([each for each in drawing.iter("rect") if "again" in each.attrib["class"]]) == 2
    assert len([each for lane in lanes for each in lane.findall("path[@class='leaving']")]) == 1
    assert [each.text for each in drawing.findall("text[@class='mark good']")] == ["published 10:07:00"]
    assert drawing.attrib["aria-labelledby"] == "batchreel-work-title batchreel-work-desc"
    assert "Container 3 ended at 10:03:04" in str(drawing.find("desc").text)  # type: ignore[union-attr]  # it has one
    assert "The chart as a table" in page


def test_numbers_of_the_drawing_have_points_when_the_reader_writes_commas(staff: Client) -> None:
    job = work_with_a_reclaimed_container()
    url = reverse("admin:batchreel_job_change", args=[job.pk])
    drawing = svg_of(staff.get(url, headers={"accept-language": "de"}).content.decode())
    for rect in drawing.iter("rect"):
        assert all("," not in rect.attrib.get(name, "") for name in ("x", "y", "width", "height"))


@pytest.mark.parametrize(("containers", "units"), [(1, 10), (1, 5000), (60, 5000)])
def test_every_unit_is_in_a_bar_when_there_are_few_or_thousands(containers: int, units: int) -> None:
    work = work_of(large_work(containers=containers, units=units))
    chart = chart_of(work)
    scale = Scale(
        began_at=work.job.created_at,
        ended_at=work.until,
        busy=[(each.began_at, each.until) for each in work.containers if each.began_at],
        left=84,
        width=900,
    )
    bars = [bar for each in work.containers for row in rows_of(each.leases) for bar in bars_of(row, scale)]
    assert sum(len(bar.leases) for bar in bars) == units + 2
    joined = [bar for bar in bars if len(bar.leases) > 1]
    assert bool(joined) == (units / containers > 450)
    assert all(bar.end_x - bar.x <= 25 for bar in joined)
    assert len(chart.lanes) == containers
    boxes = sum(len(lane.boxes) for lane in chart.lanes)
    assert boxes <= min(units, 5000) + 5 * containers + 5
    rows = sum(max(1, len(rows_of(each.leases))) for each in work.containers)
    assert boxes <= rows * 900 / NARROW_PX + 5 * containers


def test_chart_says_that_units_are_not_kept_when_the_events_expired(staff: Client) -> None:
    job = work_with_a_reclaimed_container()
    Event.objects.filter(job_id=job.pk).delete()
    work = work_of(job)
    assert not work.units_are_known
    assert [each.attempt.number for each in work.containers] == [1, 2, 3, 4]
    page = staff.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
    assert "What the containers did with each unit is not kept any more" in page
    assert "AWS interrupted the Spot instance (10:03:04)" in page


def test_unit_is_bad_and_publishing_is_put_off_when_its_output_fails_verification() -> None:
    rows = new_rows(finished_s=200)
    rows.container(1, claimed_s=10, ended_s=200)
    rows.unit("plan 0", 1, 10, 20)
    rows.unit("video 0", 1, 20, 80)
    rows.unit("publish 0", 1, 81, None)
    rows.event(UnitEvent.REDO, 90, "video 0: checksum differs")
    rows.unit("video 0", 1, 91, 150)
    rows.unit("publish 0", 1, 151, 200)
    leases = work_of(rows.save()).containers[0].leases
    assert [(lease.name, lease.outcome, lease.ended_at) for lease in leases] == [
        ("plan 0", Outcome.DONE, at(20)),
        ("video 0", Outcome.BAD, at(80)),
        ("publish 0", Outcome.STOPPED, at(90)),
        ("video 0", Outcome.DONE, at(150)),
        ("publish 0", Outcome.DONE, at(200)),
    ]


def test_work_was_lost_at_the_last_heartbeat_when_a_container_became_silent() -> None:
    rows = new_rows(finished_s=500)
    rows.container(
        1,
        claimed_s=10,
        ended_s=290,
        state="LOST",
        reason=Reason.HEARTBEAT_TIMEOUT,
        heartbeat_at=at(100),
        leaving_at=None,
    )
    rows.container(2, claimed_s=330, ended_s=500, created_at=at(300))
    rows.unit("plan 0", 1, 10, 30)
    rows.unit("video 0", 1, 30, None)
    rows.unit("video 0", 2, 330, 400)
    work = work_of(rows.save())
    lost = work.containers[0].units(Outcome.LOST)
    assert [(lease.name, lease.ended_at) for lease in lost] == [("video 0", at(100))]
    boxes = [box.css for box in chart_of(work).lanes[0].boxes]
    assert boxes[:4] == ["queue", "start", "run", "silent"]


def test_units_of_an_ended_container_are_stopped_when_the_job_was_cancelled() -> None:
    rows = new_rows(state="CANCELLED", reason=Reason.CANCELLED, finished_s=100)
    rows.container(1, claimed_s=10, ended_s=100, state="CANCELLED", reason=Reason.CANCELLED)
    rows.unit("plan 0", 1, 10, 20)
    rows.unit("video 0", 1, 20, None)
    work = work_of(rows.save())
    assert names(work.containers[0].units(Outcome.STOPPED)) == ["video 0"]
    assert not any(lane.end for lane in chart_of(work).lanes)


def test_newest_containers_are_drawn_when_there_are_more() -> None:
    rows = new_rows(finished_s=1000)
    for number in range(1, MAX_CONTAINERS + 4):
        rows.container(number, claimed_s=10, ended_s=1000)
    work = work_of(rows.save())
    assert [each.attempt.number for each in work.containers] == list(range(4, MAX_CONTAINERS + 4))
    assert work.left_out == 3
    assert summary(work)[0] == "63 containers worked on the job."


def test_chart_follows_the_services_when_a_container_works() -> None:
    video = uploaded_video()
    job = Job.objects.get(video=video)
    assert [lane.label for lane in chart_of(work_of(job)).lanes] == []
    claim = claimed(submitted_attempt(video))
    planned(claim)
    finished_media(claim)
    work = work_of(Job.objects.get(video=video))
    assert sorted(names(work.containers[0].units(Outcome.DONE))) == ["audio 0", "plan 0", "video 0", "video 1"]
    assert summary(work) == ["1 container worked on the job.", "1 container is working now."]
    assert "running" not in {name for name, _ in chart_of(work).legend}


def test_axis_cuts_a_pause_when_no_container_ran_for_hours() -> None:
    scale = Scale(
        began_at=at(0),
        ended_at=at(36_600),
        busy=[(at(100), at(400)), (at(36_400), at(36_600))],
        left=100,
        width=800,
    )
    (cut,) = scale.cuts
    assert (cut.pause, cut.px) == (timedelta(hours=10), 56)
    assert scale.x(at(0)) == 100
    assert scale.x(at(36_600)) == pytest.approx(900)
    # Both spans of work have the same scale.
    assert scale.x(at(200)) - scale.x(at(100)) == pytest.approx(scale.x(at(36_500)) - scale.x(at(36_400)))
    ticks = [tick.x for tick in scale.ticks]
    assert all(later - earlier >= 46 for earlier, later in pairwise(ticks))
    assert {tick.label for tick in scale.ticks} >= {"10:02", "10:04", "10:06", "20:08"}


def test_part_says_that_it_is_over_when_the_job_has_ended(staff: Client) -> None:
    job = work_with_a_reclaimed_container()
    ended = staff.get(reverse("admin:batchreel_job_work", args=[job.pk]))
    assert ended.headers["Batchreel-Live"] == "over"
    assert "no-store" in ended.headers["Cache-Control"]
    assert "<html" not in ended.content.decode()
    video = uploaded_video()
    claimed(submitted_attempt(video))
    active = staff.get(reverse("admin:batchreel_job_work", args=[Job.objects.get(video=video).pk]))
    assert "Batchreel-Live" not in active.headers


@pytest.mark.parametrize("page", ["batchreel_job_work", "batchreel_operations_changelist"])
def test_page_is_forbidden_when_staff_may_not_view_jobs(page: str, client: Client) -> None:
    job = work_with_a_reclaimed_container()
    client.force_login(User.objects.create_user("stranger", is_staff=True))
    args = [job.pk] if page == "batchreel_job_work" else []
    assert client.get(reverse(f"admin:{page}", args=args)).status_code == 403
