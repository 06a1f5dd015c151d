"""Progress display for one video's job: a progress bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from project.local.errors import StackError
from tasks.lifecycle.observation import FINAL_STATUSES
from tasks.lifecycle.states import ACTIVE_JOB_STATES
from tasks.models import Attempt, Job
from tasks.selectors.videos import video_overview

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from tasks.models import Video

_POLL_EVERY_S = 0.5
_LINE_EVERY_S = 3.0
_OBSERVED_WITHIN_S = 20.0
_NOT_SUBMITTED_WITHIN_S = 60.0


def watch(video: Video, console: Console, *, check_programs: Callable[[], None]) -> Job:
    """Show progress until the video's job ends and the final status of its Batch job was observed.

    `check_programs` raises StackError if a program that the job needs has ended. Also raises
    StackError if the job is not submitted within a minute.
    """
    started_s = time.monotonic()
    with _screen(console) as show:
        while True:
            check_programs()
            video.refresh_from_db()
            job = Job.objects.filter(video=video).latest("created_at")
            overview = video_overview(video)
            show(overview.progress.stage_label or overview.message, overview.progress.percent)
            if job.state not in ACTIVE_JOB_STATES:
                show(overview.message, overview.progress.percent)
                break
            if not job.fence and time.monotonic() - started_s > _NOT_SUBMITTED_WITHIN_S:
                message = "The Celery worker did not submit the job within a minute."
                raise StackError(message)
            time.sleep(_POLL_EVERY_S)
    _wait_until_observed(job, console)
    return job


def _wait_until_observed(job: Job, console: Console) -> None:
    """Wait until a tick has observed the end of the Batch job, shortly after the container reported it."""
    give_up_at = time.monotonic() + _OBSERVED_WITHIN_S
    unobserved = Attempt.objects.filter(job=job, batch_job_id__isnull=False).exclude(batch_status__in=FINAL_STATUSES)
    if unobserved.exists():
        console.print("Waiting for the next Celery tick to observe the end of the Batch job.")
    while unobserved.exists() and time.monotonic() < give_up_at:
        time.sleep(_POLL_EVERY_S)


@contextmanager
def _screen(console: Console) -> Iterator[Callable[[str, float], None]]:
    if not console.is_terminal:
        yield _Lines(console).show
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Waiting", total=100)
        yield lambda text, percent: progress.update(bar, description=text, completed=percent)


class _Lines:
    """Progress as lines: one when the text changes, and one every few seconds while the percentage changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_s = time.monotonic()
        self._last: tuple[str, float] = ("", -1)
        self._last_s = 0.0

    def show(self, text: str, percent: float) -> None:
        now_s = time.monotonic()
        if text == self._last[0] and (percent == self._last[1] or now_s - self._last_s < _LINE_EVERY_S):
            return
        self._console.print(f"  {now_s - self._started_s:5.1f} s  {percent:3.0f} %  {text}")
        self._last, self._last_s = (text, percent), now_s
