"""Every page of the admin in a real browser: no violation of the Content-Security-Policy, and lists that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from tasks.models import Event, Job, OutboxEvent, Tick, WebhookEndpoint
from tests.factories import claimed, leased, published, submitted_attempt, uploaded_video
from tests.work_rows import work_with_a_reclaimed_container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def _pages() -> Iterator[str]:
    """Yield each page of our models and of django-celery-beat's: list, form for a new row, page of a row."""
    yield from (reverse("admin:index"), reverse("admin:app_list", args=["batchreel"]))
    for label in ("batchreel", "django_celery_beat"):
        for model in filter(admin.site.is_registered, apps.get_app_config(label).get_models()):
            names = model._meta
            page = f"admin:{names.app_label}_{names.model_name}"
            yield reverse(f"{page}_changelist")
            if names.proxy:
                continue
            if label == "django_celery_beat" or model is WebhookEndpoint:
                yield reverse(f"{page}_add")
            if (row := model._default_manager.first()) is not None:
                yield reverse(f"{page}_change", args=[row.pk])


def test_no_admin_page_violates_the_policy_or_is_too_wide_when_each_is_opened(browsing: Browsing) -> None:
    job = work_with_a_reclaimed_container(title="x" * 198)
    published(uploaded_video(title="An unusually long title of a lecture about the history of long titles"))
    claimed(submitted_attempt())
    Tick.objects.create(name="submit")
    WebhookEndpoint.objects.create(url="https://example.org/hook", secret="s")
    crontab = CrontabSchedule.objects.create(minute="5")
    IntervalSchedule.objects.get_or_create(every=15, period="seconds")
    PeriodicTask.objects.create(name="nightly", task="project.clear_sessions", crontab=crontab)
    assert Event.objects.exists()
    assert OutboxEvent.objects.exists()
    page = browsing.page
    page.set_viewport_size({"width": 1280, "height": 800})
    opened = 0
    for path in (*_pages(), reverse("admin:batchreel_job_change", args=[job.pk])):
        browsing.open(path)
        opened += 1
        assert browsing.problems == [], path
        if "/batchreel/" not in path:
            continue
        fits = "(document.querySelector('#changelist .results') ?? document.documentElement)"
        widths = page.evaluate(f"[{fits}.scrollWidth, {fits}.clientWidth]")
        assert widths[0] <= widths[1], f"{path}: {widths}"
    assert opened >= 35
    # What was chosen in a list of Celery's tasks is stored.
    browsing.open(reverse("admin:django_celery_beat_periodictask_add"))
    page.fill("[name=name]", "hourly")
    page.select_option("[name=regtask]", "batchreel.submit")
    page.select_option("[name=interval]", index=1)
    page.click("[name=_save]")
    page.wait_for_selector("text=was added successfully")
    assert PeriodicTask.objects.get(name="hourly").task == "batchreel.submit"
    assert browsing.problems == []


@pytest.mark.long
def test_chart_and_log_follow_the_job_when_its_container_works(browsing: Browsing) -> None:
    video = uploaded_video(title="Statistics 3")
    claim = claimed(submitted_attempt(video))
    job = Job.objects.get(video=video)
    page = browsing.page
    browsing.open(reverse("admin:batchreel_job_change", args=[job.pk]))
    page.wait_for_selector("text=AWS Batch has not named a log stream for this attempt yet.")
    page.click("text=The chart as a table")
    assert page.locator(".batchreel-work rect.running").count() == 0
    leased(claim)
    page.wait_for_selector(".batchreel-work rect.running", state="attached")
    # What was opened stays open.
    assert page.evaluate("document.querySelector('.batchreel-work details').open")
    assert browsing.problems == []
