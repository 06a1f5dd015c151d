"""A long history of many jobs, drawn by a seed: every fault, then none, on the services and PostgreSQL, in no time.

The same seed gives the same history: the database's clock is a virtual one, and every id and every jitter comes from the seed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tasks.models import Attempt, Job
from tests.simulation import actions
from tests.simulation.actions import NEEDS, Acts
from tests.simulation.chance import seed_chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

JOBS = 20
_WELL = 2
"""How much more often all goes on than any one fault happens: jobs have to get somewhere to be disturbed there."""

_DRAWS: dict[str, dict[str, Sequence[Any]]] = {
    "person_acts": {"act": actions.PEOPLE, "pick": range(JOBS)},
    "bridge_goes_on": {"number": actions.PICKS},
    "container_goes_on": {"pick": range(JOBS), "steps": range(1, 9)},
    "all_goes_on": {"number": actions.PICKS, "steps": (1, 1, 2)},
    "tick_submit": {"fault": actions.SUBMIT_FAULTS},
    "submit_takes_effect_twice": {},
    "ticks_run": {"number": actions.PICKS, "reads_fail": actions.RARELY, "terminate_fails": actions.RARELY},
    "tick_reaps_all": {"reads_fail": actions.RARELY},
    "time_passes": {"seconds": actions.SPANS_S, "ticks_were_away": actions.RARELY},
    "database_is_away": {"seconds": actions.SPANS_S, "number": actions.PICKS},
    "batch_job_changes": {"pick": range(JOBS), "end": actions.ENDS, "what": actions.CHANGES},
    "container_starts": {"pick": range(JOBS)},
    "container_works": {"pick": range(JOBS), "steps": range(1, 9)},
    "container_says_it_twice": {"pick": range(JOBS), "sends_back": actions.RARELY},
    "container_misbehaves": {"pick": range(JOBS), "how": actions.MISDEEDS, "reason": actions.REASONS},
    "container_is_replaced": {"pick": range(JOBS), "number": actions.PICKS},
    "batch_forgets_one_at_work": {"pick": range(JOBS)},
    "executions_end_early": {"times": range(1, 5), "end": actions.ENDS, "steps": range(1, 4)},
    "helper_is_granted": {"pick": range(JOBS)},
}
"""Act -> its parameters, and what each is drawn from."""

_CALM = frozenset(
    (
        *("bridge_goes_on", "container_goes_on", "all_goes_on", "container_works", "container_starts"),
        *("tick_submit", "ticks_run", "tick_reaps_all", "time_passes"),
    )
)
_DISTURBING = frozenset(("fault", "reads_fail", "terminate_fails", "ticks_were_away"))
"""What makes a fault of a calm act, where it is drawn."""

_OFTEN = ("bridge_goes_on", "container_goes_on", "all_goes_on", "container_works")


class Simulator(Acts):
    """One history. `run` plays it; `log` tells each step and the states that it led to."""

    most_videos = JOBS + 5

    def __init__(self, seed: int, patching: pytest.MonkeyPatch) -> None:
        self._dice = random.Random(seed)  # histories, not secrets
        self._seed = seed
        seed_chance(seed, patching)
        super().__init__()
        self.log: list[str] = []
        self.disturbances = 0
        """Steps that were a fault, or a person's doing."""

    def run(self, *, steps: int) -> None:
        """Begin with 20 videos, let faults happen for `steps` steps, and every job come to its end then.

        An AssertionError tells the last steps.
        """
        try:
            for number in range(JOBS):
                self.upload(with_signal=number % 4 != 0)
            self.promises_hold()
            for _ in range(steps):
                self._step()
            self.converge()
            self._tell("converged")
        except AssertionError as error:
            error.add_note("\n".join([f"Seed {self._seed}. The last steps:", *self.log[-8:]]))
            raise

    def _step(self) -> None:
        names = [name for name in _DRAWS if name not in NEEDS or NEEDS[name](self)]
        weights = [_WELL if name in _OFTEN else 1 for name in names]
        (name,) = self._dice.choices(names, weights)
        drawn = {what: self._dice.choice(of) for what, of in _DRAWS[name].items()}
        self.log.append(f"{name} {drawn}")
        self.disturbances += name not in _CALM or any(drawn[what] for what in _DISTURBING & drawn.keys())
        getattr(self, name)(**drawn)
        self.promises_hold()
        self._tell(name)

    def _tell(self, name: str) -> None:
        jobs = " ".join(f"{state[:2]}{fence}" for state, fence in _ordered(Job).values_list("state", "fence"))
        attempts = " ".join(state[:3] for state in _ordered(Attempt).values_list("state", flat=True))
        batch = " ".join(f"{job.name[-12:]}={job.status}" for job in self.batch.jobs.values())
        self.log.append(f"{name}: {jobs} | {attempts} | {batch}")


def _ordered(model: type[Job] | type[Attempt]) -> Any:
    return model.objects.order_by("created_at", "pk")
