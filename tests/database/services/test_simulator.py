"""Random histories of several jobs with all faults, by seed.

Nothing is lost or doubled, and every job ends when the faults stop.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from tests.simulation.bridge import SETTINGS
from tests.simulation.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

QUICK_SEEDS, QUICK_STEPS, QUICK_JOBS = (0, 2, 5, 6, 41), 20, 6
"""Each of these seeds detects a mutation that the others miss."""
LONG_SEEDS, LONG_STEPS, LONG_JOBS = 1000, 45, 20
SEEDS_OF_A_TEST = 25
FAILED_ONCE: tuple[int, ...] = ()
"""Seeds that found a bug, kept forever."""

SIMULATION = Path(__file__).parents[2] / "simulation"


@pytest.fixture(autouse=True)
def _small_budget(settings: Settings) -> None:
    settings.BATCHREEL = SETTINGS


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", [*QUICK_SEEDS, *FAILED_ONCE])
def test_jobs_are_not_lost_or_doubled_when_faults_are_drawn_by_seed(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    _count(record_property, play(seed, steps=QUICK_STEPS, jobs=QUICK_JOBS))


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", range(0, LONG_SEEDS, SEEDS_OF_A_TEST))
def test_jobs_are_not_lost_or_doubled_when_histories_are_a_thousand(
    first: int, record_property: Callable[[str, object], None]
) -> None:
    for seed in range(first, first + SEEDS_OF_A_TEST):
        _count(record_property, play(seed, steps=LONG_STEPS, jobs=LONG_JOBS))


def _count(record_property: Callable[[str, object], None], simulator: Simulator) -> None:
    """Record counts for the table of promises. Lost or doubled jobs would have failed the test."""
    for name, count in {"faults": simulator.disturbances, "lost": 0, "doubled": 0}.items():
        record_property(name, count)


def play(seed: int, *, steps: int, jobs: int) -> Simulator:
    """Play one history and roll back its rows."""
    with pytest.MonkeyPatch.context() as patching, transaction.atomic():
        simulator = Simulator(seed, patching, jobs=jobs)
        simulator.run(steps=steps)
        transaction.set_rollback(True)
    return simulator


@pytest.mark.long
def test_history_is_the_same_when_the_seed_is_the_same() -> None:
    once, again, other = (play(seed, steps=QUICK_STEPS // 4, jobs=QUICK_JOBS // 3).log for seed in (7, 7, 8))
    assert once == again != other


def test_simulation_writes_no_states_when_it_is_extended() -> None:
    """Only services write states.

    The simulation may move times and write what services never write: a new source, or an attempt
    that helps.
    """
    for path in SIMULATION.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                keywords = {keyword.arg for keyword in node.keywords}
                function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert function != "transition", path
                assert function not in {"update", "create", "bulk_update"} or "state" not in keywords, (
                    f"{path}:{node.lineno}"
                )
