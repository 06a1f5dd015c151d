"""Invariants after each step, checked on the rows, read by one query, and on the new events."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import (
    ACTIVE_JOB_STATES,
    LIVE_ATTEMPT_STATES,
    TRANSITIONS,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitEvent,
)

_READ = """
    SELECT json_build_object(
        'videos', (SELECT json_agg(json_build_array(id, published_job_id, deleted_at)) FROM batchreel_video),
        'jobs', (SELECT json_agg(json_build_object('id', id, 'video', video_id, 'state', state, 'budget_from', budget_from,
                 'made', playlist_key <> '', 'by', substring(playlist_key FROM '[0-9]+$')::int, 'fence', fence,
                 'planned', plan IS NOT NULL, 'pruned', pruned_at IS NOT NULL,
                 'asked_at', EXTRACT(EPOCH FROM created_at))) FROM batchreel_job),
        'attempts', (SELECT json_agg(json_build_object('job', job_id, 'number', number, 'round', coalesce(helps, number),
                      'state', state, 'counted', counted, 'progressed', units_done > 0))
                     FROM batchreel_attempt),
        'units', (SELECT json_agg(json_build_array(job_id, kind, index, state, output IS NOT NULL)) FROM batchreel_unit),
        'events', (SELECT json_agg(json_build_object('id', id, 'kind', kind, 'job', job_id, 'number', attempt_number,
                   'from', from_state, 'to', to_state, 'reason', reason, 'text', text) ORDER BY id) FROM batchreel_event WHERE id > %s))
"""
_KINDS = {str(event): event for event in TRANSITIONS}


@dataclass
class Watcher:
    """Checks the rows after each step, and compares them with earlier ones."""

    max_attempts: int
    max_losses: int
    newest_event: int
    states: dict[tuple[Any, ...], str] = field(default_factory=dict)
    """State of each row by its events: (kind of row, job, and number or position) -> state."""
    shown: dict[str, str] = field(default_factory=dict)
    """Video -> the job that it showed last."""
    publications: Counter[str] = field(default_factory=Counter)
    submitted_again: Counter[str] = field(default_factory=Counter)
    """Name of a Batch job -> how often two empty lookups made SubmitJob due again."""

    def check(self) -> dict[str, Any]:
        """Return the rows. Raises AssertionError if a promise is broken."""
        with connection.cursor() as cursor:
            cursor.execute(_READ, [self.newest_event])
            response = cursor.fetchone()[0]
        rows: dict[str, Any] = {key: each or [] for key, each in _parsed(response).items()}
        self._follow_events(rows["events"])
        jobs = {job["id"]: job for job in rows["jobs"]}
        self._check_jobs(rows)
        self._check_attempts(rows, jobs)
        self._check_dead_jobs(rows, jobs)
        self._check_units(rows)
        self._check_work(rows, jobs)
        self._check_publications(rows, jobs)
        return rows

    def _follow_events(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.newest_event = event["id"]
            kind = _KINDS.get(event["kind"])
            if event["kind"] == "job.request":
                self.states["job", event["job"]] = event["to"]
            if event["kind"] == "attempt.resubmit":
                self.submitted_again[f"batchreel-{event['job']}-{event['number']}"] += 1
            if kind is None:
                continue
            row = _row_of(event)
            before = self.states.get(row, {"attempt": "SUBMITTING", "unit": "PENDING"}.get(row[0]))
            assert event["from"] == before, f"{event} does not follow on {before}"
            assert TRANSITIONS[kind][event["from"]] == event["to"], event
            self.states[row] = event["to"]
            if kind is JobEvent.PUBLISH:
                self.publications[event["job"]] += 1
                assert self.publications[event["job"]] == 1, f"published twice: {event}"

    def _check_jobs(self, rows: dict[str, Any]) -> None:
        active = Counter(job["video"] for job in rows["jobs"] if job["state"] in ACTIVE_JOB_STATES)
        assert all(count == 1 for count in active.values()), "two active jobs of one video"
        for job in rows["jobs"]:
            assert self.states["job", job["id"]] == job["state"], f"no event led to {job}"

    def _check_attempts(self, rows: dict[str, Any], jobs: dict[str, Any]) -> None:
        may_count: set[tuple[str, int]] = set()
        for attempt in rows["attempts"]:
            job = jobs[attempt["job"]]
            followed = self.states.get(("attempt", attempt["job"], attempt["number"]), AttemptState.SUBMITTING)
            assert followed == attempt["state"], f"no event led to {attempt}"
            if attempt["state"] in LIVE_ATTEMPT_STATES:
                assert job["state"] in {JobState.QUEUED, JobState.RUNNING}, f"{attempt} is live, but its job is {job}"
            counts = attempt["counted"] is not False or attempt["state"] in LIVE_ATTEMPT_STATES
            if counts and attempt["number"] > job["budget_from"]:
                may_count.add((job["id"], attempt["round"]))
        may_count -= {(each["job"], each["round"]) for each in rows["attempts"] if each["progressed"]}
        rounds = Counter(job_id for job_id, _ in may_count)
        assert all(count <= self.max_attempts for count in rounds.values()), f"more rounds than the limit: {rounds}"

    def _check_dead_jobs(self, rows: dict[str, Any], jobs: dict[str, Any]) -> None:
        """Assert that no job became DEAD early.

        A final status that came later in the same step may have made an attempt not counted.
        """
        uncounted = Counter(event["job"] for event in rows["events"] if event["kind"] == "attempt.counted")
        for event in rows["events"]:
            if event["kind"] != JobEvent.DEAD:
                continue
            job = jobs[event["job"]]
            attempts = [
                each for each in rows["attempts"] if each["job"] == job["id"] and each["number"] > job["budget_from"]
            ]
            counted = len({each["round"] for each in attempts if each["counted"] is not False}) + uncounted[job["id"]]
            rounds = {each["round"] for each in attempts}
            used = counted if event["reason"] == Reason.ATTEMPTS_EXHAUSTED else len(rounds)
            limit = self.max_attempts if event["reason"] == Reason.ATTEMPTS_EXHAUSTED else self.max_losses
            assert used >= limit, f"DEAD too early: {event} {attempts}"

    def _check_units(self, rows: dict[str, Any]) -> None:
        for job_id, kind, index, state, _ in rows["units"]:
            assert self.states.get(("unit", job_id, f"{kind} {index}"), "PENDING") == state, (
                job_id,
                kind,
                index,
                state,
            )

    def _check_work(self, rows: dict[str, Any], jobs: dict[str, Any]) -> None:
        """Assert that a job has what its next container needs as long as it may get one, and nothing afterwards."""
        units = Counter(unit[0] for unit in rows["units"])
        for job_id, kind, _, state, has_output in rows["units"]:
            if state == "DONE":
                assert has_output, f"the output of a finished unit is missing: {jobs[job_id]}"
                assert kind != "plan" or jobs[job_id]["planned"], f"the plan is missing: {jobs[job_id]}"
        for job in rows["jobs"]:
            if job["pruned"]:
                assert job["state"] not in ACTIVE_JOB_STATES, f"pruned while active: {job}"
                assert not units[job["id"]], f"pruned, but has units: {job}"
                assert not job["planned"], f"pruned, but has a plan: {job}"

    def _check_publications(self, rows: dict[str, Any], jobs: dict[str, Any]) -> None:
        for video_id, job_id, deleted_at in rows["videos"]:
            done = [job for job in rows["jobs"] if job["video"] == video_id and job["state"] == JobState.SUCCEEDED]
            if job_id is None:
                assert deleted_at or video_id not in self.shown, "a publication disappeared"
                assert deleted_at or not done, f"succeeded, but not shown: {done}"
                continue
            newest = max([each["asked_at"] for each in done], default=0)
            assert deleted_at or jobs[job_id]["asked_at"] >= newest, (
                f"the newest publication is not shown: {jobs[job_id]} {done}"
            )
            job = jobs[job_id]
            assert job["made"], f"shown without a playlist: {job}"
            by = [each["state"] for each in rows["attempts"] if each["job"] == job_id and each["number"] == job["by"]]
            assert job["state"] != JobState.SUCCEEDED or by == [AttemptState.SUCCEEDED], (
                f"no succeeded attempt made it: {job} {by}"
            )
            before = jobs.get(self.shown.get(video_id, ""))
            assert before is None or before["asked_at"] <= job["asked_at"], "the pointer moved to an older job"
            self.shown[video_id] = job_id


def _parsed(response: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(response) if isinstance(response, str) else response
    return parsed


def _row_of(event: dict[str, Any]) -> tuple[Any, ...]:
    kind = _KINDS[event["kind"]]
    if isinstance(kind, JobEvent):
        return "job", event["job"]
    if isinstance(kind, AttemptEvent):
        return "attempt", event["job"], event["number"]
    assert isinstance(kind, UnitEvent)
    # A unit's event begins with its position: "video 3 by attempt 1", "video 3: too short".
    return "unit", event["job"], " ".join(event["text"].split(" ")[:2]).rstrip(":.")
