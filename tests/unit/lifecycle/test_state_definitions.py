"""The diagram in the docs, the transition table, the enums and the constraints agree."""

from __future__ import annotations

import enum
import itertools
import re
from pathlib import Path

import pytest
from django.db import models

from tasks.lifecycle.states import (
    ACTIVE_JOB_STATES,
    TRANSITIONS,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitEvent,
    UnitState,
    target_state,
)
from tasks.lifecycle.video_status import VideoStatus, video_status
from tasks.models import Attempt, Job, Unit

STATES_PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "states.md").read_text()

MACHINES = [
    pytest.param("Job", Job, JobState, JobEvent, id="job"),
    pytest.param("Attempt", Attempt, AttemptState, AttemptEvent, id="attempt"),
    pytest.param("Unit", Unit, UnitState, UnitEvent, id="unit"),
]


def _section(title: str) -> str:
    return STATES_PAGE.split(f"\n## {title}:")[1].split("\n## ")[0]


@pytest.mark.parametrize(("title", "model", "states", "events"), MACHINES)
def test_state_diagram_equals_the_table_when_either_changes(
    title: str, model: type[models.Model], states: type[enum.StrEnum], events: type[enum.StrEnum]
) -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+): (\S+)$", _section(title), flags=re.MULTILINE))
    table = {(origin, target, event) for event in events for origin, target in TRANSITIONS[event].items()}
    assert drawn == table


@pytest.mark.parametrize(("title", "model", "states", "events"), MACHINES)
def test_enum_choices_and_constraint_agree_when_a_state_is_added(
    title: str, model: type[models.Model], states: type[enum.StrEnum], events: type[enum.StrEnum]
) -> None:
    names = {state.value for state in states}
    assert {value for value, _ in model._meta.get_field("state").choices or ()} == names
    constraint = next(c for c in model._meta.constraints if c.name == f"{title.lower()}_state_known")
    assert isinstance(constraint, models.CheckConstraint)
    assert set(dict(constraint.condition.children)["state__in"]) == names  # type: ignore[attr-defined, call-overload] # a Q with one lookup
    mentioned = {state for event in events for pair in TRANSITIONS[event].items() for state in pair}
    assert mentioned == names


def test_every_event_has_its_transitions_when_one_is_added() -> None:
    assert set(TRANSITIONS) == {*JobEvent, *AttemptEvent, *UnitEvent}


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_final_job_state_does_not_change_when_any_event_occurs(state: JobState) -> None:
    assert all(target_state(event, state) is None for event in JobEvent)


@pytest.mark.parametrize(
    "state", [AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.LOST, AttemptState.CANCELLED]
)
def test_ended_attempt_does_not_change_when_any_event_occurs(state: AttemptState) -> None:
    assert all(target_state(event, state) is None for event in AttemptEvent)


def test_active_job_states_are_exact_when_a_state_is_added() -> None:
    ended = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.DEAD}
    assert set(JobState) - ended == ACTIVE_JOB_STATES


def _status_rows() -> list[list[str]]:
    table = STATES_PAGE.split("## The video's status")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    return rows[2:]


def _fits(row: list[str], *, deleted: bool, published: bool, complete: bool, newest: JobState | None) -> bool:
    flags = zip(row[:3], (deleted, published, complete), strict=True)
    job = row[3]
    job_fits = (
        job == "any"
        or (job == "none" and newest is None)
        or (job.startswith("any other") and newest not in ACTIVE_JOB_STATES)
        or (newest is not None and newest.value in re.findall(r"[A-Z_]+", job))
    )
    return job_fits and all(cell in ("any", "yes" if flag else "no") for cell, flag in flags)


def test_video_status_equals_its_table_when_all_inputs_are_combined() -> None:
    rows = _status_rows()
    for deleted, published, complete, newest in itertools.product(
        (True, False), (True, False), (True, False), (None, *JobState)
    ):
        row = next(r for r in rows if _fits(r, deleted=deleted, published=published, complete=complete, newest=newest))
        status = video_status(deleted=deleted, published=published, source_complete=complete, newest_job=newest)
        assert status is VideoStatus(row[4]), (deleted, published, complete, newest)
