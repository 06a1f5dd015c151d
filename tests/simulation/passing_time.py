"""Time that passes without anybody waiting, and ids that are the same in each history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection, models

from tasks.models import Attempt, Job, Tick, Unit, Video

if TYPE_CHECKING:
    from tests.simulation.batch import SimulatedBatch


def _shift(model: type[models.Model]) -> str:
    times = [each.column for each in model._meta.concrete_fields if isinstance(each, models.DateTimeField)]
    moved = ", ".join(f'"{column}" = "{column}" - span' for column in times)
    return f"UPDATE {model._meta.db_table} SET {moved}"  # noqa: S608 - our own columns


_SHIFTS = "; ".join(_shift(model) for model in (Video, Job, Attempt, Unit, Tick))


def pass_time(batch: SimulatedBatch, *, seconds: float) -> None:
    """Let time pass: the database's clock can't be set, so every time that it is compared with moves into the past."""
    with connection.cursor() as cursor:
        cursor.execute(_SHIFTS.replace("span", f"interval '{seconds} seconds'"))
    for job in batch.jobs.values():
        job.created_at_ms -= seconds * 1000


def restart_ids() -> None:
    """Give attempts the same ids in each history: whose turn it is to be asked about follows from them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('batchreel_attempt', 'id'), 1, false)")
