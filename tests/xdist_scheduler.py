"""Distribution of tests to pytest-xdist's processes, by file. Loaded by `-p tests.xdist_scheduler`.

Tests of one file stay in one process, because they share expensive fixtures such as a running site.
Most tests wait, for beat or for a process to end; quick tests and simulated histories only compute.
So the process that `scripts/test` starts with a low priority gets these, histories first and one by
one, and nothing else: they use the CPU time that the others leave idle, and slow none of them down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

SIMULATIONS = (
    "tests/database/services/test_state_machine.py",
    "tests/database/services/test_reconcile_histories.py",
    "tests/database/services/test_simulator.py",
    "tests/database/services/test_submit_ambiguous_storm.py",
    "tests/database/services/test_missing_batch_jobs.py",
)
"""The first of them contains the longest test, so it is assigned first."""

FAST_FOLDERS = ("tests/unit/", "tests/database/")
"""Folders of quick tests, which need nothing but PostgreSQL."""

_COMPUTING = (*SIMULATIONS, *FAST_FOLDERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Return the scheduler of this module if `--dist loadfile` is given."""
    return SimulationsApart(config, log) if config.getvalue("dist") == "loadfile" else None


class SimulationsApart(LoadFileScheduling):
    """Scheduler that gives a low-priority process only tests that compute, and the others such tests last."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SIMULATIONS) else str(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        low = _has_low_priority(node)
        ours = [scope for scope in self.workqueue if scope.startswith(_COMPUTING) == low]
        if ours:
            self.workqueue.move_to_end(min(ours, key=_longest_first) if low else ours[0], last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if not _has_low_priority(node) or any(scope.startswith(_COMPUTING) for scope in self.workqueue):
            super()._reschedule(node)
        elif not node.shutting_down:
            node.shutdown()


def _longest_first(scope: str) -> tuple[int, str]:
    file = scope.partition("::")[0]
    return SIMULATIONS.index(file) if file in SIMULATIONS else len(SIMULATIONS), scope


def _has_low_priority(node: WorkerController) -> bool:
    return bool(node.gateway.spec.nice)
