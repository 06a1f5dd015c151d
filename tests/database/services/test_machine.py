"""Any history of requests, ticks, faults, containers and people, drawn by hypothesis, against the services on PostgreSQL.

After each step the promises hold (tests/simulation/checks.py). Then the faults stop, and every job comes to an end in bounded time.
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
from tests.simulation.actions import NEEDS, Acts
from tests.simulation.bridge import SETTINGS
from tests.simulation.chance import seed_chance

if TYPE_CHECKING:
    from pytest_django import Settings

# Each history is a transaction of its own: PostgreSQL cannot clear away what one left while a transaction around all of them is open.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_small_budget")]

QUICK_EXAMPLES = 200
LONG_EXAMPLES, EXAMPLES_OF_A_TEST = 5000, 100
STEPS = 40

picks = st.sampled_from(actions.PICKS)
ends = st.sampled_from(actions.ENDS)
rarely = st.sampled_from(actions.RARELY)


def drawn(name: str, **what: st.SearchStrategy[Any]) -> Any:
    """The act of this name as a rule, where there is what it needs."""
    act = rule(**what)(getattr(Acts, name))
    return precondition(NEEDS[name])(act) if name in NEEDS else act


class Machine(Acts, RuleBasedStateMachine):
    """The services, a simulated AWS Batch, its containers, and people."""

    def __init__(self) -> None:
        self.history = transaction.atomic()
        self.history.__enter__()
        self.patching = pytest.MonkeyPatch()
        # Hypothesis tries parts of a history again, and must see the same.
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

    promises_hold = invariant()(Acts.promises_hold)

    person_acts = drawn("person_acts", act=st.sampled_from(actions.PEOPLE), pick=picks)

    # All is well. Hypothesis leaves rules out, another half in each history: of these, seldom all three.
    bridge_goes_on = drawn("bridge_goes_on", number=picks)
    container_goes_on = drawn("container_goes_on", pick=picks, steps=st.integers(1, 8))
    all_goes_on = drawn("all_goes_on", number=picks, steps=st.integers(1, 4))

    tick_submit = drawn("tick_submit", fault=st.sampled_from(actions.SUBMIT_FAULTS))
    submit_takes_effect_twice = drawn("submit_takes_effect_twice")
    ticks_run = drawn("ticks_run", number=picks, reads_fail=rarely, terminate_fails=rarely)
    tick_reaps_all = drawn("tick_reaps_all", reads_fail=rarely)
    time_passes = drawn("time_passes", seconds=st.sampled_from(actions.SPANS_S), ticks_were_away=rarely)

    database_is_away = drawn("database_is_away", seconds=st.sampled_from(actions.SPANS_S), number=picks)

    batch_job_changes = drawn("batch_job_changes", pick=picks, end=ends, what=st.sampled_from(actions.CHANGES))

    container_starts = drawn("container_starts", pick=picks)
    container_works = drawn("container_works", pick=picks, steps=st.integers(1, 8))
    container_says_it_twice = drawn("container_says_it_twice", pick=picks, sends_back=rarely)
    container_misbehaves = drawn(
        "container_misbehaves",
        pick=picks,
        how=st.sampled_from(actions.MISDEEDS),
        reason=st.sampled_from(actions.REASONS),
    )
    container_is_replaced = drawn("container_is_replaced", pick=picks, number=picks)
    batch_forgets_one_at_work = drawn("batch_forgets_one_at_work", pick=picks)
    executions_end_early = drawn("executions_end_early", times=st.integers(1, 4), end=ends, steps=st.integers(1, 3))
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
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(1800)
def test_promises_hold_and_every_job_ends_whatever_happens_in_which_order() -> None:
    _run(QUICK_EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(LONG_EXAMPLES // EXAMPLES_OF_A_TEST))
def test_promises_hold_and_every_job_ends_in_thousands_of_histories(number: int) -> None:
    _run(EXAMPLES_OF_A_TEST, start=number)
