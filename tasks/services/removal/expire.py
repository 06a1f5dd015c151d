"""Expiry of events: what happened is removed `event_retention_s` later.

Events of a job stay until the job has ended for good and was pruned, however long that takes. What
people then still see of a job follows from its row: when it was requested, and how and when it ended
(`selectors.history.timeline`).

Events are numbered in the order in which they are appended, so each page of them is a range of the
primary key, and the first young event is the end. Events that stay do not delay the others:
`Tick.position` is the last number that was read, and the next tick continues there.
"""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import takewhile

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...models import Event, Job, Tick
from ...schedule.ticks import PURGE

_PAGE_EVENTS = 1000
"""Events per statement: it takes a few milliseconds, and no other transaction waits for its locks."""


def expire_events() -> int:
    """Remove expired events until `purge_time_limit_s` has passed, and return their number."""
    stop_at_s = time.monotonic() + bridge_settings().purge_time_limit_s
    row = Tick.objects.filter(name=PURGE.name)
    before = row.values_list("position", flat=True).first() or ""
    expired, last_id = 0, int(before or 0)
    while time.monotonic() <= stop_at_s:
        old = _old_ids(after=last_id)
        if old:
            expired += _remove(first_id=old[0], last_id=old[-1])
        last_id = old[-1] if len(old) == _PAGE_EVENTS else 0
        if not last_id:
            break
    after = str(last_id or "")
    if after != before:
        row.update(position=after)
    return expired


def _old_ids(*, after: int) -> list[int]:
    """Return the ids of the next page of events, up to the first that is too young."""
    is_old = ExpressionWrapper(_is_old(), output_field=BooleanField())
    page = Event.objects.filter(pk__gt=after).annotate(is_old=is_old).order_by("pk").values_list("pk", "is_old")
    return [pk for pk, _ in takewhile(lambda event: event[1], page[:_PAGE_EVENTS])]


def _remove(*, first_id: int, last_id: int) -> int:
    in_use = Job.objects.filter(pk=OuterRef("job_id"), pruned_at=None, purged_at=None)
    removed, _ = Event.objects.filter(~Exists(in_use), _is_old(), pk__gte=first_id, pk__lte=last_id).delete()
    return removed


def _is_old() -> Q:
    return Q(created_at__lt=Now() - timedelta(seconds=bridge_settings().event_retention_s))
