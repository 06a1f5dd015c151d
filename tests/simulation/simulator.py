"""Long random history of many jobs, with all faults and then none, on the services and PostgreSQL.

Nothing waits: the database's clock is virtual. The same seed gives the same history, because all
ids and all jitter come from the seed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tasks.models import Attempt, Job
from tests.simulation import actions
from tests.simulation.actions import NEEDS, Actions
from tests.simulation.chance import seed_chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

JOBS = 20
"""Largest number from which a job is picked."""

_PROGRESS_WEIGHT = 2
"""Weight of actions without faults; others have 1. Jobs must make progress to be disturbed."""

_DRAWS: dict[str, dict[str, Sequence[Any]]] = {
    "person_acts": {"act": actions.PERSON_ACTIONS, "pick": range(JOBS)},
    "bridge_runs": {"number": actions.PICKS},
    "container_advances": {"pick": range(JOBS), "steps": range(1, 9)},
    "all_advance": {"number": actions.PICKS, "steps": (1, 1, 2)},
    "tick_submit": {"fault": actions.SUBMIT_FAULTS},
    "submit_takes_effect_twice": {},
    "ticks_run": {"number": actions.PICKS, "reads_fail": actions.RARELY, "terminate_fails": actions.RARELY},
    "tick_reaps_all": {"reads_fail": actions.RARELY},
    "time_passes": {"seconds": actions.SPANS_S, "ticks_paused": actions.RARELY},
    "database_is_unavailable": {"seconds": actions.SPANS_S, "number": actions.PICKS},
    "batch_job_changes": {"pick": range(JOBS), "end": actions.ENDS, "what": actions.CHANGES},
    "container_starts": {"pick": range(JOBS)},
    "container_works": {"pick": range(JOBS), "steps": range(1, 9)},
    "container_repeats_finish": {"pick": range(JOBS), "redo": actions.RARELY},
    "container_misbehaves": {"pick": range(JOBS), "how": actions.MISBEHAVIORS, "reason": actions.REASONS},
    "container_is_replaced": {"pick": range(JOBS), "number": actions.PICKS},
    "batch_forgets_running_job": {"pick": range(JOBS)},
    "containers_end_early": {"times": range(1, 5), "end": actions.ENDS, "steps": range(1, 4)},
    "helper_is_granted": {"pick": range(JOBS)},
}
"""Action -> its parameters, with the values that each is drawn from."""

_CALM = frozenset(
    (
        *("bridge_runs", "container_advances", "all_advance", "container_works", "container_starts"),
        *("tick_submit", "ticks_run", "tick_reaps_all", "time_passes"),
    )
)
_DISTURBING = frozenset(("fault", "reads_fail", "terminate_fails", "ticks_paused"))
"""Parameters that turn a calm action into a fault if they are drawn as true."""

_OFTEN = ("bridge_runs", "container_advances", "all_advance", "container_works")


class Simulator(Actions):
    """One history. `run` plays it; `log` contains each step and the resulting states."""

    def __init__(self, seed: int, patching: pytest.MonkeyPatch, *, jobs: int) -> None:
        self.max_videos = jobs + 5
        self._jobs = jobs
        self._random = random.Random(seed)  # histories, not secrets
        self._seed = seed
        seed_chance(seed, patching)
        super().__init__()
        self.log: list[str] = []
        self.disturbances = 0
        """Number of steps that were a fault or a person's action."""

    def run(self, *, steps: int) -> None:
        """Start with a video for each job, run `steps` steps with faults, and then let every job end.

        An AssertionError has a note with the last steps.
        """
        try:
            for number in range(self._jobs):
                self.upload(with_signal=number % 4 != 0)
            self.promises_hold()
            for _ in range(steps):
                self._step()
            self.converge()
            self._log_states("converged")
        except AssertionError as error:
            error.add_note("\n".join([f"Seed {self._seed}. The last steps:", *self.log[-8:]]))
            raise

    def _step(self) -> None:
        names = [name for name in _DRAWS if name not in NEEDS or NEEDS[name](self)]
        weights = [_PROGRESS_WEIGHT if name in _OFTEN else 1 for name in names]
        (name,) = self._random.choices(names, weights)
        drawn = {parameter: self._random.choice(values) for parameter, values in _DRAWS[name].items()}
        self.log.append(f"{name} {drawn}")
        self.disturbances += name not in _CALM or any(drawn[parameter] for parameter in _DISTURBING & drawn.keys())
        getattr(self, name)(**drawn)
        self.promises_hold()
        self._log_states(name)

    def _log_states(self, name: str) -> None:
        jobs = " ".join(f"{state[:2]}{fence}" for state, fence in _ordered(Job).values_list("state", "fence"))
        attempts = " ".join(state[:3] for state in _ordered(Attempt).values_list("state", flat=True))
        batch = " ".join(f"{job.name[-12:]}={job.status}" for job in self.batch.jobs.values())
        self.log.append(f"{name}: {jobs} | {attempts} | {batch}")


def _ordered(model: type[Job] | type[Attempt]) -> Any:
    return model.objects.order_by("created_at", "pk")
