"""What the chart shows in words: its summary, the texts of its bars, and the table for people who do not see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...lifecycle.reasons import Reason
from ...lifecycle.states import AttemptState, JobState, UnitKind
from ...selectors.operations.work import Container, Lease, Outcome, Work
from ...texts.stored import translated
from ...texts.times import local

MAX_ENDS = 4
"""Lost containers that the summary describes: the table has all of them."""

KIND_LABELS = {
    UnitKind.PLAN: _("fetching and planning"),
    UnitKind.VIDEO: _("video"),
    UnitKind.AUDIO: _("audio"),
    UnitKind.PUBLISH: _("checking and publishing"),
}
OUTCOME_LABELS = {
    Outcome.DONE: _("done"),
    Outcome.LOST: _("lost with its container"),
    Outcome.BAD: _("done, but its output was bad"),
    Outcome.STOPPED: _("stopped"),
    Outcome.RUNNING: _("running"),
}

LEGEND = {
    "work": _("the job is worked on"),
    "wait": _("the job waits"),
    "queue": _("container waits for a machine"),
    "start": _("container starts"),
    "run": _("container works, or waits for others"),
    "plan": _("fetch and plan"),
    "video": _("video unit"),
    "audio": _("audio unit (lower)"),
    "publish": _("check and publish"),
    "running": _("unit in progress"),
    "lost": _("unit that was lost (hatched)"),
    "again": _("unit that repeats a lost one (outlined)"),
    "bad": _("unit whose output was bad (hatched)"),
    "stopped": _("unit that was stopped"),
    "silent": _("container is silent (dotted)"),
    "leaving": _("EC2 announces that it takes the machine back"),
    "loss": _("container that was lost or failed"),
}
"""What the chart consists of, by the class that draws it."""


def clock(moment: datetime) -> str:
    """Return a time of day with seconds."""
    return date_format(local(moment), "H:i:s")


def duration(span: timedelta) -> str:
    """Return a span as 45 s, 3 min 20 s, 2 h 5 min or 3 d 4 h."""
    minutes, seconds = divmod(max(0, round(span.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return gettext("{days} d {hours} h").format(days=days, hours=hours)
    if hours:
        return gettext("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return gettext("{minutes} min {seconds} s").format(minutes=minutes, seconds=seconds)
    return gettext("{seconds} s").format(seconds=seconds)


def role(container: Container) -> str:
    """Return whether the container is a lead, or whom it helps."""
    return gettext("helper") if container.attempt.is_helper else gettext("lead")


def end_label(container: Container) -> str:
    """Return how the container ended: for one that was lost or failed, the message of its reason."""
    attempt = container.attempt
    if container.is_live:
        return ""
    reason = Reason.__members__.get(attempt.reason)
    if reason is None:
        return gettext("finished") if attempt.state == AttemptState.SUCCEEDED else attempt.state
    return translated(reason.message)


def bar_text(leases: list[Lease]) -> str:
    """Return what a bar shows: one unit, or several that are too narrow to be drawn alone."""
    first, last = leases[0], leases[-1]
    times = {"start": clock(first.began_at), "end": clock(last.ended_at)}
    outcome = OUTCOME_LABELS[first.outcome]
    if len(leases) > 1:
        text = gettext("{count} units ({kind}), {start} to {end}: {outcome}")
        return text.format(count=len(leases), kind=KIND_LABELS[first.kind], outcome=outcome, **times)
    took = duration(last.ended_at - first.began_at)
    text = gettext("{unit}, {start} to {end} ({duration}): {outcome}")
    shown = text.format(unit=first.name, outcome=outcome, duration=took, **times)
    if first.after is not None:
        again = gettext("It repeats what container {number} began.").format(number=first.after.number)
        return f"{shown}. {again}"
    return shown


def summary(work: Work) -> list[str]:
    """Return what happened to the job, one message for each turn that it took."""
    return list(_summary(work))


def _summary(work: Work) -> Iterator[str]:
    ran = [each for each in work.containers if each.began_at]
    count = len(ran) + work.left_out
    yield ngettext("{count} container worked on the job.", "{count} containers worked on the job.", count).format(
        count=count
    )
    lost = [each for each in ran if each.is_failed]
    for container in lost[:MAX_ENDS]:
        yield _lost(container, work)
    if len(lost) > MAX_ENDS:
        more = len(lost) - MAX_ENDS
        text = ngettext("{count} more was lost or failed.", "{count} more were lost or failed.", more)
        yield text.format(count=more)
    yield from _end(work)


def _lost(container: Container, work: Work) -> str:
    number, at = container.attempt.number, clock(container.until)
    text = gettext("Container {number} ended at {time}: {reason}")
    parts = [text.format(number=number, time=at, reason=end_label(container))]
    units = container.units(Outcome.LOST)
    if units:
        text = ngettext("It lost {count} unit: {names}.", "It lost {count} units: {names}.", len(units))
        parts.append(text.format(count=len(units), names=_names(lease.name for lease in units)))
        again = {
            lease.number
            for each in work.containers
            for lease in each.leases
            if lease.after is not None and lease.after.number == number and lease.after.outcome == Outcome.LOST
        }
        if again:
            text = ngettext("Container {numbers} did that again.", "Containers {numbers} did that again.", len(again))
            parts.append(text.format(numbers=_names(str(each) for each in sorted(again))))
    elif container.leases:
        parts.append(gettext("It lost no unit."))
    return " ".join(parts)


def _names(names: Iterator[str]) -> str:
    shown = list(names)
    most = 6
    return ", ".join([*shown[:most], *(["…"] if len(shown) > most else [])])


def _end(work: Work) -> Iterator[str]:
    job = work.job
    if job.finished_at and job.state == JobState.SUCCEEDED:
        text = gettext("Published at {time}, {duration} after the request.")
        yield text.format(time=clock(job.finished_at), duration=duration(job.finished_at - job.created_at))
    elif job.finished_at and not work.is_active:
        text = gettext("The job ended at {time} as {state}.")
        yield text.format(time=clock(job.finished_at), state=job.state)
    elif any(each.began_at and each.is_live for each in work.containers):
        live = sum(bool(each.began_at) and each.is_live for each in work.containers)
        text = ngettext("{count} container is working now.", "{count} containers are working now.", live)
        yield text.format(count=live)
    else:
        yield gettext("No container is working now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A container in words."""

    number: int
    role: str
    machine: str
    waited: str
    began: str
    ended: str
    done: int
    lost: str
    again: str
    how: str


def table(work: Work) -> list[TableRow]:
    """Return a row for each container."""
    return [_row(each) for each in work.containers]


def _row(container: Container) -> TableRow:
    attempt = container.attempt
    began_at = container.began_at
    machine = " ".join(filter(None, (attempt.instance_type, attempt.availability_zone, attempt.purchase)))
    return TableRow(
        number=attempt.number,
        role=role(container),
        machine=machine,
        waited=duration((attempt.started_at or began_at or container.until) - attempt.created_at),
        began=clock(began_at) if began_at else "",
        ended="" if container.is_live else clock(container.until),
        done=len(container.units(Outcome.DONE)),
        lost=_names(lease.name for lease in container.units(Outcome.LOST)),
        again=_names(lease.name for lease in container.leases if lease.after is not None),
        how=end_label(container) or gettext("live: {stage}").format(stage=attempt.stage or attempt.batch_status),
    )
