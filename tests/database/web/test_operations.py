"""The operators' page: exact figures from rows, what to do about failures, late ticks, and checks on demand."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from tasks.admin.operations.periodic_tasks import task_choices
from tasks.lifecycle.reasons import WHAT_TO_DO, Reason
from tasks.models import Attempt, DayCost, Job, Tick, Video
from tasks.schedule.ticks import TICKS
from tasks.selectors.operations.figures import read_figures
from tasks.selectors.operations.ticks import tick_statuses
from tasks.services.requests.request import request_again
from tasks.services.ticks.lease import run_tick
from tests.factories import age, claimed, lecturer, published, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db

PAGE = "admin:batchreel_operations_changelist"

_OLD_JOBS = """
    INSERT INTO batchreel_video (id, title, source, requested_source, source_complete, created_at)
    SELECT md5('v' || n)::uuid, n, 's/' || n, 's/' || n, true, now() - interval '40 days' FROM generate_series(1, 5000) n;
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, state, fence, budget_from, next_attempt_at, reason,
           reason_message, playlist_key, poster_key, created_at, finished_at, pruned_at, tallied)
    SELECT md5('j' || n)::uuid, md5('v' || n)::uuid, 's/' || n, 'standard', true, CASE WHEN n % 50 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END,
           1, 0, NULL, CASE WHEN n % 50 = 0 THEN 'DAMAGED' ELSE '' END, '', 'm', '', now() - interval '40 days', now() - interval '40 days',
           now(), true
      FROM generate_series(1, 5000) n;
    ANALYZE batchreel_video, batchreel_job;
"""


def _ended(state: str, reason: str, *, hours_ago: float) -> Job:
    video = uploaded_video()
    job = Job.objects.filter(video=video)
    job.update(state=state, reason=reason, next_attempt_at=None, finished_at=Now() - timedelta(hours=hours_ago))
    return job.get()


def test_figures_are_those_of_the_rows_when_jobs_are_in_all_states() -> None:
    for _ in range(2):
        published()
    Job.objects.filter(state="SUCCEEDED").update(finished_at=Now() - timedelta(hours=2))
    published()
    _ended("FAILED", "NOT_A_VIDEO", hours_ago=1)
    _ended("DEAD", "ATTEMPTS_EXHAUSTED", hours_ago=2)
    _ended("DEAD", "ATTEMPTS_EXHAUSTED", hours_ago=3)
    _ended("FAILED", "DAMAGED", hours_ago=25)
    claimed(submitted_attempt())
    waiting = Job.objects.get(video=uploaded_video())
    now = read_figures().now  # the same in the whole transaction
    Job.objects.filter(pk=waiting.pk).update(next_attempt_at=now - timedelta(seconds=90))
    today = now.date()
    DayCost.objects.create(day=today, purchase="spot", source="list", cost_usd="1.25")
    DayCost.objects.create(day=today, purchase="on-demand", source="list", cost_usd="0.50")
    DayCost.objects.create(day=today.replace(day=1) - timedelta(days=1), purchase="spot", source="list", cost_usd="9")
    figures = read_figures()
    assert (figures.waiting, figures.running, figures.containers, figures.vcpus) == (1, 1, 1, 2)
    assert figures.oldest_wait == timedelta(seconds=90)
    assert figures.oldest_job_id == waiting.pk
    assert (figures.ready, figures.ready_last_hour, figures.ready_per_h) == (3, 1, 0.125)
    assert [(each.reason, each.jobs) for each in figures.failed] == [("ATTEMPTS_EXHAUSTED", 2), ("NOT_A_VIDEO", 1)]
    assert (figures.today_usd, figures.month_usd) == (Decimal("1.75"), Decimal("1.75"))


def test_oldest_wait_is_since_the_request_when_the_job_is_in_aws_batch() -> None:
    attempt = submitted_attempt()
    Job.objects.filter(pk=attempt.job_id).update(created_at=read_figures().now - timedelta(seconds=500))
    figures = read_figures()
    assert (figures.oldest_wait, figures.oldest_job_id) == (timedelta(seconds=500), attempt.job_id)


def test_page_shows_what_to_do_when_jobs_have_failed(staff: Client) -> None:
    dead = _ended("DEAD", "ATTEMPTS_EXHAUSTED", hours_ago=1)
    Attempt.objects.create(
        job=dead,
        number=1,
        state="FAILED",
        reason=Reason.MISCONFIGURED,
        ended_at=Now(),
        vcpus=2,
        memory_mib=1,
        timeout_s=60,
        batch_job_name="b",
    )
    retried = _ended("FAILED", "NOT_A_VIDEO", hours_ago=2)
    newer = request_again(video_id=retried.video_id).job_id
    page = staff.get(reverse(PAGE)).content.decode()
    assert WHAT_TO_DO[Reason.ATTEMPTS_EXHAUSTED].replace("'", "&#x27;") in page
    assert WHAT_TO_DO[Reason.MISCONFIGURED] in page
    assert "Nothing: the file is the cause" in page
    assert reverse("admin:batchreel_job_change", args=[newer]) in page


def test_page_reads_no_history_and_has_fixed_queries_when_there_are_many_ended_jobs(staff: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_OLD_JOBS)
    _ended("FAILED", "NOT_A_VIDEO", hours_ago=1)
    with CaptureQueriesContext(connection) as queries:
        assert staff.get(reverse(PAGE)).status_code == 200
    statements = [each["sql"] for each in queries if re.search(r'FROM "batchreel_(job|attempt)"', each["sql"])]
    assert len(statements) >= 7
    assert len(queries) <= 16
    for statement in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan on batchreel_job" not in plan, f"{statement}\n{plan}"


def test_tick_is_late_when_it_has_not_started_for_three_periods() -> None:
    run_tick("submit", period_s=15, body=lambda _: None)
    by_name = {each.name: each for each in tick_statuses(read_figures().now)}
    assert set(by_name) == {tick.name for tick in TICKS}
    assert (by_name["submit"].is_late, by_name["reap"].is_late) == (False, True)
    age(Tick, "started_at", seconds=46)
    assert tick_statuses(read_figures().now)[0].is_late


def test_last_success_stays_when_a_tick_fails() -> None:
    run_tick("submit", period_s=15, body=lambda _: None)
    succeeded_at = Tick.objects.get().succeeded_at
    age(Tick, "started_at", seconds=60)

    def fail(_: object) -> None:
        message = "no room"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no room"):
        run_tick("submit", period_s=15, body=fail)
    row = Tick.objects.get()
    assert succeeded_at is not None
    assert (row.succeeded_at, row.error_code) == (succeeded_at, "TICK_FAILED")


def test_page_links_flower_when_the_site_names_it(staff: Client, settings: Settings) -> None:
    assert "Flower" not in staff.get(reverse(PAGE)).content.decode()
    settings.BATCHREEL = {"flower_url": "https://flower.example.org/"}
    assert 'href="https://flower.example.org/"' in staff.get(reverse(PAGE)).content.decode()


@pytest.mark.parametrize("check", ["doctor", "reconcile"])
def test_checks_are_for_people_who_may_change_jobs_when_they_are_requested(check: str, client: Client) -> None:
    watcher = User.objects.create_user("watcher", is_staff=True)
    watcher.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(watcher)
    page = client.get(reverse(PAGE))
    assert page.status_code == 200
    assert "Run the doctor" not in page.content.decode()
    assert client.post(reverse(f"admin:batchreel_operations_{check}")).status_code == 403
    client.force_login(User.objects.create_superuser("operator"))
    assert client.get(reverse(f"admin:batchreel_operations_{check}")).status_code == 405


def test_reconcile_shows_its_changes_and_makes_none_when_it_is_requested(staff: Client) -> None:
    video = uploaded_video()
    Job.objects.filter(video=video).delete()
    Video.objects.filter(pk=video.pk).update(requested_source="")
    page = staff.post(reverse("admin:batchreel_operations_reconcile")).content.decode()
    assert "job.request (job " in page
    assert "Nothing was changed." in page
    assert not Job.objects.exists()


def test_choice_of_tasks_has_the_ticks_when_a_periodic_task_is_added(staff: Client) -> None:
    names = [name for name, _ in task_choices()]
    assert {tick.task for tick in TICKS} <= set(names)
    page = staff.get(reverse("admin:django_celery_beat_periodictask_add")).content.decode()
    offered = page.split('name="regtask"')[1].split("</select>")[0]
    assert re.findall(r'<option value="([^"]*)"', offered) == names
    assert not [
        script for script in re.findall(r"<script([^>]*)>", page) if "src=" not in script and "json" not in script
    ]


def test_lists_find_the_jobs_of_an_owner_when_an_operator_asks(staff: Client) -> None:
    ada = lecturer("ada")
    mine, other = uploaded_video(title="x" * 100), uploaded_video(title="Statistics")
    Video.objects.filter(pk=mine.pk).update(owner=ada)
    jobs = reverse("admin:batchreel_job_changelist")
    for query in ({"owner": str(ada.pk)}, {"q": "ada"}):
        page = staff.get(jobs, query)
        assert [job.video_id for job in page.context["cl"].result_list] == [mine.pk], query
    assert f'<span title="{"x" * 100}">{"x" * 59}…</span>' in page.content.decode()
    nobody = staff.get(jobs, {"owner": "nobody"})
    assert [job.video_id for job in nobody.context["cl"].result_list] == [other.pk]
    assert staff.get(jobs, {"owner": "no-number"}).context["cl"].result_count == 0


def test_page_offers_only_what_the_state_allows_when_a_job_is_shown(staff: Client) -> None:
    job = Job.objects.get(video=uploaded_video())
    expected = {
        ("QUEUED", "upload"): ["cancel"],
        ("QUEUED", "bulk"): ["to_front", "cancel"],
        ("DEAD", "upload"): ["retry", "transcode_again", "revive", "cancel"],
        ("FAILED", "upload"): ["retry", "transcode_again"],
    }
    for (state, priority), actions in expected.items():
        Job.objects.update(state=state, priority=priority, next_attempt_at=None, reason="STALLED")
        page = staff.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
        assert re.findall(r'name="action" value="(\w+)"', page) == actions, state


def test_one_message_names_the_problems_when_many_rows_are_selected(staff: Client) -> None:
    jobs = [_ended("FAILED", "NOT_A_VIDEO", hours_ago=1) for _ in range(8)]
    jobs.append(Job.objects.get(video=uploaded_video()))
    chosen = {"action": "cancel", "_selected_action": [str(job.pk) for job in jobs], "_confirmed": "yes"}
    page = staff.post(reverse("admin:batchreel_job_changelist"), chosen, follow=True)
    (message,) = [str(each) for each in page.context["messages"]]
    assert message.startswith("Jobs cancelled: 1. 8 rows were left as they were:")
    assert message.endswith("And 3 more.")
