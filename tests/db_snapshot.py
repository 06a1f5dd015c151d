"""Snapshots of all rows, to compare what a call changed, and columns for any state of a row.

The columns put a row into its state directly, whether or not the services can reach that state.
"""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models.functions import Now

from tasks.lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState, JobState

_ENDED_BADLY = {JobState.FAILED, JobState.DEAD, JobState.CANCELLED}
_TABLES = ("video", "job", "attempt", "unit", "event", "tick")
_ALL_ROWS = " UNION ALL ".join(
    f"SELECT '{table}', {'name' if table == 'tick' else 'id'}::text, to_jsonb(one)::text FROM batchreel_{table} AS one"  # noqa: S608 - constants
    for table in _TABLES
)

Snapshot = dict[tuple[str, str], str]


def snapshot() -> Snapshot:
    """Return every row of the tables that services write: (table, id) -> columns as text.

    The grants' own counters are left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ALL_ROWS)
        return {(table, key): text for table, key, text in cursor.fetchall()}


def changed(before: Snapshot, after: Snapshot) -> set[tuple[str, str]]:
    """Return the keys of the rows that were added, removed or changed."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def job_columns(state: JobState) -> dict[str, Any]:
    """Return columns that satisfy the database's constraints for a job in this state."""
    waiting = state in {JobState.QUEUED, JobState.RETRY_WAIT}
    return {
        "state": state,
        "reason": "CANCELLED" if state in _ENDED_BADLY else "",
        "next_attempt_at": Now() if waiting else None,
        "finished_at": Now() if state == JobState.SUCCEEDED or state in _ENDED_BADLY else None,
        "playlist_key": "k" if state == JobState.SUCCEEDED else "",
    }


def attempt_columns(state: AttemptState) -> dict[str, Any]:
    """Return columns that satisfy the database's constraints for an attempt in this state."""
    live = state in LIVE_ATTEMPT_STATES
    return {
        "state": state,
        "reason": "" if live or state == AttemptState.SUCCEEDED else "HEARTBEAT_TIMEOUT",
        "heartbeat_at": Now(),
        "ended_at": None if live else Now(),
    }
