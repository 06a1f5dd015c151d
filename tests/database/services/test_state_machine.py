"""Histories of requests, ticks, faults, containers and people, drawn by Hypothesis, on PostgreSQL.

The promises hold after each step (tests/simulation/checks.py). Then the faults stop, and every job
ends in bounded time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.simulation import actions
from tests.simulation.actions import NEEDS, Actions
from tests.simulation.bridge import SETTINGS
from tests.simulation.chance import seed_chance

if TYPE_CHECKING:
    from pytest_django import Settings

# Each history has its own transaction: PostgreSQL cannot vacuum the rows of earlier histories while
# a transaction around all of them is open.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_small_budget")]

QUICK_EXAMPLES = 1
LONG_EXAMPLES, EXAMPLES_OF_A_TEST = 5000, 100
STEPS = 40

picks = st.sampled_from(actions.PICKS)
ends = st.sampled_from(actions.ENDS)
rarely = st.sampled_from(actions.RARELY)


def drawn(name: str, **parameters: st.SearchStrategy[Any]) -> Any:
    """Return the action of this name as a rule, with its precondition."""
    action = rule(**parameters)(getattr(Actions, name))
    return precondition(NEEDS[name])(action) if name in NEEDS else action


class Machine(Actions, RuleBasedStateMachine):
    """State machine of the services, a simulated AWS Batch, its containers and people."""

    def __init__(self) -> None:
        self.history = transaction.atomic()
        self.history.__enter__()
        self.patching = pytest.MonkeyPatch()
        # Hypothesis replays parts of a history, which must give the same result.
        seed_chance(0, self.patching)
        super().__init__()
        self.upload(with_signal=True)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.converge()
        finally:
            self.patching.undo()
            transaction.set_rollback(True)
            self.history.__exit__(None, None, None)

    promises_hold = invariant()(Actions.promises_hold)

    person_acts = drawn("person_acts", act=st.sampled_from(actions.PERSON_ACTIONS), pick=picks)

    # Without faults. Hypothesis disables a different half of the rules in each history, and
    # rarely all three of these.
    bridge_runs = drawn("bridge_runs", number=picks)
    container_advances = drawn("container_advances", pick=picks, steps=st.integers(1, 8))
    all_advance = drawn("all_advance", number=picks, steps=st.integers(1, 4))

    tick_submit = drawn("tick_submit", fault=st.sampled_from(actions.SUBMIT_FAULTS))
    submit_takes_effect_twice = drawn("submit_takes_effect_twice")
    ticks_run = drawn("ticks_run", number=picks, reads_fail=rarely, terminate_fails=rarely)
    tick_reaps_all = drawn("tick_reaps_all", reads_fail=rarely)
    time_passes = drawn("time_passes", seconds=st.sampled_from(actions.SPANS_S), ticks_paused=rarely)

    database_is_unavailable = drawn("database_is_unavailable", seconds=st.sampled_from(actions.SPANS_S), number=picks)

    batch_job_changes = drawn("batch_job_changes", pick=picks, end=ends, what=st.sampled_from(actions.CHANGES))

    container_starts = drawn("container_starts", pick=picks)
    container_works = drawn("container_works", pick=picks, steps=st.integers(1, 8))
    container_repeats_finish = drawn("container_repeats_finish", pick=picks, redo=rarely)
    container_misbehaves = drawn(
        "container_misbehaves",
        pick=picks,
        how=st.sampled_from(actions.MISBEHAVIORS),
        reason=st.sampled_from(actions.REASONS),
    )
    container_is_replaced = drawn("container_is_replaced", pick=picks, number=picks)
    batch_forgets_running_job = drawn("batch_forgets_running_job", pick=picks)
    containers_end_early = drawn("containers_end_early", times=st.integers(1, 4), end=ends, steps=st.integers(1, 3))
    helper_is_granted = drawn("helper_is_granted", pick=picks)


@pytest.fixture
def _small_budget(settings: Settings) -> None:
    settings.BATCHREEL = SETTINGS


def _run(examples: int, *, start: int = 0) -> None:
    run_state_machine_as_test(
        seed(start)(Machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(1800)
def test_promises_hold_and_every_job_ends_when_any_events_happen() -> None:
    _run(QUICK_EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(LONG_EXAMPLES // EXAMPLES_OF_A_TEST))
def test_promises_hold_and_every_job_ends_when_histories_are_thousands(number: int) -> None:
    _run(EXAMPLES_OF_A_TEST, start=number)
