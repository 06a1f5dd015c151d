"""Rows put into a state directly, reachable or not, and all rows as text: what a call changed, or that it changed nothing."""

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
    """Every row of every table that the services write: (table, id) -> its columns as text. Token buckets are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL_ROWS)
        return {(table, key): text for table, key, text in cursor.fetchall()}


def changed(before: Snapshot, after: Snapshot) -> set[tuple[str, str]]:
    """The rows that differ: new ones, lost ones, and those with another text."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def job_columns(state: JobState) -> dict[str, Any]:
    """Columns with which the database's constraints take a job in the state."""
    waiting = state in {JobState.QUEUED, JobState.RETRY_WAIT}
    return {
        "state": state,
        "reason": "CANCELLED" if state in _ENDED_BADLY else "",
        "next_attempt_at": Now() if waiting else None,
        "manifest": {} if state == JobState.SUCCEEDED else None,
        "manifest_key": "k" if state == JobState.SUCCEEDED else "",
    }


def attempt_columns(state: AttemptState) -> dict[str, Any]:
    """Columns with which the database's constraints take an attempt in the state."""
    live = state in LIVE_ATTEMPT_STATES
    return {
        "state": state,
        "reason": "" if live or state == AttemptState.SUCCEEDED else "HEARTBEAT_TIMEOUT",
        "heartbeat_at": Now(),
        "ended_at": None if live else Now(),
    }
