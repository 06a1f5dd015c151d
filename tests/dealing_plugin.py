"""Deals the tests out to pytest-xdist's processes. Loaded by `-p tests.dealing_plugin`.

Most tests wait, for a beat or for a process that ends; simulated histories only compute. So the process that `scripts/test` starts with
a low priority gets the histories, and nothing else: they take what the others leave idle, and none of those becomes slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadGroupScheduling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

HISTORIES = "histories"
"""How the names of their groups begin. The first in the alphabet is dealt out first."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Keep the tests of a file in one process, but for those with a group of their own."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadGroupScheduling | None:
    """Deal as this module says, where `--dist loadgroup` asks for groups."""
    return HistoriesApart(config, log) if config.getvalue("dist") == "loadgroup" else None


class HistoriesApart(LoadGroupScheduling):
    """Gives a process of low priority the histories first, and then nothing more; the others get them last."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        low = _has_low_priority(node)
        ours = [name for name in self.workqueue if name.startswith(HISTORIES) == low]
        if ours:
            self.workqueue.move_to_end(min(ours) if low else ours[0], last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if not _has_low_priority(node) or any(name.startswith(HISTORIES) for name in self.workqueue):
            super()._reschedule(node)
        elif not node.shutting_down:
            node.shutdown()


def _has_low_priority(node: WorkerController) -> bool:
    return bool(node.gateway.spec.nice)
