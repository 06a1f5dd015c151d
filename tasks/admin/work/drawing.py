"""Places everything in the drawing. Units are those of the SVG's viewBox; a browser scales the whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext

from ...lifecycle.states import UnitKind
from ...selectors.operations.work import Container, Lease, Outcome, Work
from .lanes import Bar, bars_of, rows_of
from .scale import Scale, Span
from .shapes import Box, Chart, End, Gap, Lane, Line
from .words import LEGEND, bar_text, clock, duration, end_label, role, summary, table

WIDTH_PX = 1000
_LEFT_PX = 84
_RIGHT_PX = 16
_TOP_PX = 30
_BOTTOM_PX = 26
_MIN_LANE_PX = 16
_HATCH_PX = 3.0
"""Least width of a bar that was lost: a narrower one would not show how it differs."""

_MAX_LINKS = 16
"""Lines from lost units to those that repeat them. With more, none could be followed."""

_SHORT = {UnitKind.PLAN: "plan", UnitKind.PUBLISH: "publish", UnitKind.AUDIO: "a{}", UnitKind.VIDEO: "{}"}
_DIGIT_PX = 6.2
_LABELLED_PX = 11.0
"""Least height of a row whose bars have labels."""


def _px(number: float) -> str:
    return f"{number:.1f}"


def chart_of(work: Work) -> Chart:
    """Return the drawing of a job's work."""
    return _Drawing(work).chart()


class _Drawing:
    def __init__(self, work: Work) -> None:
        self._work = work
        busy = [(each.began_at, each.until) for each in work.containers if each.began_at]
        self._scale = Scale(
            began_at=work.job.created_at,
            ended_at=work.until,
            busy=busy,
            left=_LEFT_PX,
            width=WIDTH_PX - _LEFT_PX - _RIGHT_PX,
        )
        self._rows = [rows_of(each.leases) for each in work.containers]
        self._row_px = _row_px(sum(max(1, len(rows)) for rows in self._rows))
        self._gap_px = 8 if len(self._rows) <= 12 else 4  # noqa: PLR2004 - a dozen lanes fill half a screen
        self._places: dict[int, tuple[float, float]] = {}
        """id of a lease -> its middle from top, and its height."""
        self._legend: set[str] = set()
        self._bottom_px = 0.0

    def chart(self) -> Chart:
        lanes = list(self._lanes())
        work = self._work
        return Chart(
            width=WIDTH_PX,
            height=_px(self._bottom_px + _BOTTOM_PX),
            axis_y=_px(_TOP_PX - 6),
            bottom_y=_px(self._bottom_px),
            marks_y=_px(self._bottom_px + 15),
            left=_px(_LEFT_PX),
            title=gettext("Work on the job, by container and time"),
            summary=summary(work),
            ticks=[Line(x=_px(tick.x), label=tick.label) for tick in self._scale.ticks],
            gaps=[
                Gap(x=_px(cut.x), width=_px(cut.px), middle_x=_px(cut.x + cut.px / 2), label=duration(cut.pause))
                for cut in self._scale.cuts
            ],
            job=list(self._job()),
            lanes=lanes,
            links=list(self._links()),
            marks=list(self._marks()),
            legend=[(name, str(label)) for name, label in LEGEND.items() if name in self._legend],
            table=table(work),
            left_out=work.left_out,
            units_are_known=work.units_are_known,
        )

    def _job(self) -> Iterator[Box]:
        """Yield the job's own lane: when a container worked on it, and when it waited for one."""
        work = self._work
        moment = work.job.created_at
        for start, end in sorted((each.began_at, each.until) for each in work.containers if each.began_at):
            if start > moment:
                yield self._job_box("wait", (moment, start))
            if end > moment:
                yield self._job_box("work", (max(start, moment), end))
                moment = end
        if work.until > moment:
            yield self._job_box("wait", (moment, work.until))

    def _job_box(self, css: str, span: Span) -> Box:
        text = gettext("waiting") if css == "wait" else gettext("containers work")
        self._legend.add(css)
        return self._box(css, span, text, y=_TOP_PX, height=_MIN_LANE_PX - 4)

    def _lanes(self) -> Iterator[Lane]:
        y: float = _TOP_PX + _MIN_LANE_PX + self._gap_px
        for container, rows in zip(self._work.containers, self._rows, strict=True):
            height = max(_MIN_LANE_PX, len(rows) * self._row_px)
            yield self._lane(container, rows, y, height)
            y += height + self._gap_px
        self._bottom_px = y

    def _lane(self, container: Container, rows: list[list[Lease]], y: float, height: float) -> Lane:
        attempt = container.attempt
        machine = f"{attempt.instance_type} {attempt.availability_zone} {attempt.purchase}".strip()
        lane = Lane(
            label=str(attempt.number),
            role=role(container),
            y=_px(y),
            height=_px(height),
            title=" ".join(filter(None, (gettext("container {number}").format(number=attempt.number), machine))),
            middle_y=_px(y + height / 2 + 4),
        )
        lane.boxes += self._phases(container, y, height)
        row_px = height / max(1, len(rows))
        for number, row in enumerate(rows):
            for bar in bars_of(row, self._scale):
                lane.boxes.append(self._bar(bar, y + number * row_px, row_px))
        if attempt.leaving_at:
            lane.leaving_x = _px(self._scale.x(attempt.leaving_at))
            self._legend.add("leaving")
        if container.is_failed:
            lane.end = self._end(container, y, height)
        return lane

    def _phases(self, container: Container, y: float, height: float) -> Iterator[Box]:
        attempt, until = container.attempt, container.until
        began_at = container.began_at or until
        started_at = min(max(attempt.started_at or began_at, attempt.created_at), began_at)
        silent_from = container.silent_from or until
        thin, middle = 6.0, y + height / 2 - 3
        spans = [
            ("queue", attempt.created_at, started_at, gettext("waiting for a machine"), middle, thin),
            ("start", started_at, began_at, gettext("starting"), middle, thin),
            ("run", began_at, silent_from, gettext("container"), y, height),
            ("silent", max(silent_from, began_at), until, gettext("silent until given up"), y, height),
        ]
        for css, start, end, text, top, px in spans:
            if end > start:
                self._legend.add(css)
                yield self._box(css, (start, end), text, y=top, height=px)

    def _box(self, css: str, span: Span, text: str, *, y: float, height: float) -> Box:
        start, end = span
        x, end_x = self._scale.x(start), self._scale.x(end)
        title = gettext("{what}: {start} to {end} ({duration})").format(
            what=text, start=clock(start), end=clock(end), duration=duration(end - start)
        )
        return Box(css=css, x=_px(x), y=_px(y), width=_px(max(0.5, end_x - x)), height=_px(height), title=title)

    def _bar(self, bar: Bar, y: float, height: float) -> Box:
        inset = min(1.0, height / 8)
        if bar.kind == UnitKind.AUDIO:
            inset = height / 4
        width = bar.width if bar.outcome == Outcome.DONE else max(_HATCH_PX, bar.width)
        # Two bars in a row stay apart.
        if width > 2 * _HATCH_PX:
            width -= 1
        self._legend |= {bar.kind.value, bar.outcome.value}
        is_again = any(lease.after is not None for lease in bar.leases)
        if is_again:
            self._legend.add("again")
        for lease in bar.leases:
            self._places[id(lease)] = (y + height / 2, height)
        label = _SHORT[bar.kind].format(bar.leases[0].index) if len(bar.leases) == 1 else ""
        fits = (height >= _LABELLED_PX and bar.kind != UnitKind.AUDIO) or height >= 2 * _LABELLED_PX
        has_label = label and fits and len(label) * _DIGIT_PX + 4 <= width
        return Box(
            css=f"{bar.kind.value} {bar.outcome.value}{' again' if is_again else ''}",
            x=_px(bar.x),
            y=_px(y + inset),
            width=_px(width),
            height=_px(height - 2 * inset),
            title=bar_text(bar.leases),
            label=label if has_label else "",
            label_x=_px(bar.x + width / 2),
            label_y=_px(y + height / 2 + 3.5),
        )

    def _end(self, container: Container, y: float, height: float) -> End:
        x = self._scale.x(container.until)
        is_right = x > WIDTH_PX * 0.62
        self._legend.add("loss")
        return End(
            is_loss=True,
            x=_px(x),
            y=_px(y + height / 2),
            label=f"{end_label(container).rstrip('.')} ({clock(container.until)})",
            label_x=_px(x - 12 if is_right else x + 12),
            anchor="end" if is_right else "start",
        )

    def _links(self) -> Iterator[str]:
        """Yield a path from each lost unit to the lease that repeats it."""
        again = [
            lease
            for container in self._work.containers
            for lease in container.leases
            if lease.after is not None and id(lease.after) in self._places and lease.after.outcome == Outcome.LOST
        ]
        for lease in again if len(again) <= _MAX_LINKS else []:
            if lease.after is not None:
                (from_y, _), (to_y, _) = self._places[id(lease.after)], self._places[id(lease)]
                from_x, to_x = self._scale.x(lease.after.ended_at), self._scale.x(lease.began_at)
                bend = max(30.0, (to_x - from_x) / 2)
                yield (
                    f"M{_px(from_x)} {_px(from_y)} C{_px(from_x + bend)} {_px(from_y)}"
                    f" {_px(to_x - bend)} {_px(to_y)} {_px(to_x)} {_px(to_y)}"
                )

    def _marks(self) -> Iterator[Line]:
        job = self._work.job
        yield self._mark(job.created_at, gettext("requested"), "plain")
        for at in self._work.revived_at:
            yield self._mark(at, gettext("revived"), "plain")
        if job.finished_at and not self._work.is_active:
            published = job.state == "SUCCEEDED"
            css = "good" if published else "bad" if job.state in ("DEAD", "FAILED") else "plain"
            yield self._mark(job.finished_at, gettext("published") if published else job.state, css)
        elif self._work.is_active:
            yield self._mark(self._work.now, gettext("now"), "plain")

    def _mark(self, at: datetime, label: str, css: str) -> Line:
        x = self._scale.x(at)
        anchor = "start" if x < WIDTH_PX / 4 else "end" if x > WIDTH_PX * 3 / 4 else "middle"
        return Line(x=_px(x), label=f"{label} {clock(at)}", css=css, anchor=anchor)


def _row_px(rows: int) -> float:
    """Return the height of a row, of which there are this many: labels fit into the first two."""
    return next((px for most, px in ((16, 17.0), (40, 12.0), (120, 8.0), (300, 6.0)) if rows <= most), 3.0)
