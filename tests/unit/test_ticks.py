"""The table of ticks is the only list: whatever names a tick elsewhere follows from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings

from tasks import tasks
from tasks.conf import BridgeSettings
from tasks.schedule.ticks import QUEUES, TICKS, WAKEUP_TASK, Tick

PERIODS = (Path(settings.BASE_DIR) / "docs" / "reference" / "settings.md").read_text()


@pytest.mark.parametrize("tick", TICKS, ids=lambda tick: tick.name)
def test_tick_has_task_period_route_and_docs_when_one_is_added(tick: Tick) -> None:
    assert tick.task in current_app.tasks, "a function under @tick in tasks/tasks.py"
    assert hasattr(tasks, f"{tick.name}_tick")
    assert tick.period_s(BridgeSettings()) > 0
    assert tick.queue.startswith("batchreel."), "a name that no queue of a site has"
    assert re.search(rf"^\| `{tick.period_setting}` \|", PERIODS, re.MULTILINE)


def test_celery_has_no_other_task_of_ours_when_a_tick_is_removed() -> None:
    ours = {name for name in current_app.tasks if name.startswith("batchreel.")}
    assert ours == {WAKEUP_TASK, *(tick.task for tick in TICKS)}
    assert set(QUEUES) == set(settings.CELERY_TASK_QUEUES)
