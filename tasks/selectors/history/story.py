"""The story of a video in a few lines, for its owner: what happened, and how long it took.

It follows from the rows of the video's jobs, which stay, and not from events, which expire.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext, pgettext

from ...lifecycle.states import ACTIVE_JOB_STATES, AttemptState, JobState
from ...models import Attempt, Job, Video
from ...texts.times import local

_SECONDS_UP_TO_S = 90
_MINUTES_UP_TO_MIN = 90


def story(video: Video) -> list[str]:
    """Return up to five lines in the reader's language; none before the upload is complete."""
    jobs = list(Job.objects.filter(video=video).defer("plan").order_by("created_at"))
    if not jobs:
        return []
    about = video.published_job or jobs[-1]
    made = [job for job in jobs if job.source_name == about.source_name] or [about]
    later = [job for job in jobs if job.created_at > about.created_at]
    return [
        _uploaded(jobs[0], made[0]),
        *_watched(made),
        *_lost(made),
        *_later(later, about),
    ][:5]


def _uploaded(first: Job, of_file: Job) -> str:
    if first.source_name == of_file.source_name:
        return gettext("Uploaded on {time}.").format(time=_time(first.created_at))
    text = gettext("Uploaded on {time}, and replaced by another file on {later}.")
    return text.format(time=_time(first.created_at), later=_time(of_file.created_at))


def _watched(made: Sequence[Job]) -> list[str]:
    """Return when the file could first be watched, and when it was ready; counted from its upload."""
    since = made[0].created_at
    playable = [at for job in made for at in (job.playable_at, job.source_playable_at) if at is not None]
    ready = [job.finished_at for job in made if job.state == JobState.SUCCEEDED and job.finished_at is not None]
    found = []
    watched = _duration(min(playable) - since) if playable else ""
    finished = _duration(min(ready) - since) if ready else ""
    if watched and watched != finished and (not ready or min(playable) < min(ready)):
        found.append(gettext("Could be watched after {duration}.").format(duration=watched))
    if finished:
        found.append(gettext("Ready after {duration}.").format(duration=finished))
    elif made[-1].state in ACTIVE_JOB_STATES:
        found.append(gettext("It is being processed."))
    elif made[-1].finished_at is not None:
        text = gettext("Processing ended without a result on {time}.")
        found.append(text.format(time=_time(made[-1].finished_at)))
    return found


def _lost(made: Sequence[Job]) -> list[str]:
    """Return that machines were lost, or that something failed, and that processing continued."""
    ended = Attempt.objects.filter(job__in=[job.pk for job in made])
    lost = ended.filter(state=AttemptState.LOST).count()
    failed = ended.filter(state=AttemptState.FAILED, helps=None).count()
    continued = any(job.state in ACTIVE_JOB_STATES | {JobState.SUCCEEDED} for job in made)
    if lost and continued:
        text = ngettext(
            "A machine was lost; processing continued by itself.",
            "{number} machines were lost; processing continued by itself.",
            lost,
        )
        return [text.format(number=lost)]
    if failed and continued:
        text = ngettext(
            "Something went wrong; it was tried again by itself.",
            "Something went wrong {number} times; it was tried again by itself.",
            failed,
        )
        return [text.format(number=failed)]
    return []


def _later(later: Sequence[Job], about: Job) -> list[str]:
    """Return what became of a newer version than the one that is shown."""
    if not later:
        return []
    newest = later[-1]
    if newest.source_name != about.source_name:
        text = gettext("Another file was uploaded on {time}.").format(time=_time(newest.created_at))
    else:
        text = gettext("It was processed again on {time}.").format(time=_time(newest.created_at))
    if newest.state in ACTIVE_JOB_STATES:
        outcome = gettext("What was ready before can be watched meanwhile.")
    elif newest.state == JobState.CANCELLED:
        outcome = gettext("That was stopped, so what was ready before is still shown.")
    else:
        outcome = gettext("That did not succeed, so what was ready before is still shown.")
    return [f"{text} {outcome}"]


def _time(at: datetime) -> str:
    return date_format(local(at), pgettext("date format", "j F Y, H:i"))


def _duration(span: timedelta) -> str:
    """Return a duration as people say it: 40 s, 12 min, 1 h 52 min."""
    seconds = max(1, round(span.total_seconds()))
    if seconds < _SECONDS_UP_TO_S:
        return gettext("{seconds} s").format(seconds=seconds)
    minutes = round(seconds / 60)
    if minutes < _MINUTES_UP_TO_MIN:
        return gettext("{minutes} min").format(minutes=minutes)
    return gettext("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
