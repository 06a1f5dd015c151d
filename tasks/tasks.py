"""The Celery tasks.

Each calls services with the port to AWS Batch, takes no arguments, and may run concurrently. They
take seconds, because all media work happens in containers. The periodic tasks are the rows of
`schedule.ticks`.

Whatever protects them is an option of the task itself (docs/adr/0045): the site's own tasks may have
other limits, acknowledgements, results and routes in the same Celery application.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from celery import Task, shared_task

from .batch.aws import aws_batch
from .batch.machines import aws_machines
from .conf import bridge_settings
from .metrics.counters import record_calls
from .metrics.log_line import log_metrics
from .metrics.tally import tally_ended
from .schedule.ticks import (
    COST,
    DELIVER,
    EDIT,
    METRICS,
    OBSERVE,
    PURGE,
    REAP,
    RESCUE,
    SOFT_TIME_LIMIT_S,
    SUBMIT,
    TIME_LIMIT_S,
    WAKEUP_EXPIRY_S,
    WAKEUP_TASK,
    Tick,
)
from .services.costs.ended import work_out_costs
from .services.delivery.run import deliver
from .services.editions.make import make_editions
from .services.removal.purge import purge
from .services.requests.request import request_missing_jobs
from .services.ticks.alerts import alert_overdue, alert_stuck_runnable
from .services.ticks.ambiguous import resolve_ambiguous
from .services.ticks.capacity import leave_spot
from .services.ticks.grant import read_queues
from .services.ticks.lease import TickLease, run_tick
from .services.ticks.observe import observe
from .services.ticks.reap import reap
from .services.ticks.rescue import rescue
from .services.ticks.resume import resume_idle
from .services.ticks.submit import submit_due


class BridgeTask(Task[[], None]):
    """A task that holds our promises whatever the settings of the site's Celery application are.

    Its sender names its queue, so the site needs no routes for it. Without arguments, its messages
    need no particular serializer, so they use the site's.
    """

    acks_late = True
    """The message of a killed worker is delivered again. Every task may run twice."""

    reject_on_worker_lost = False
    """A message that kills its process is not delivered again at once, which would never end. The next
    tick does the work."""

    acks_on_failure_or_timeout = True
    ignore_result = True
    """The results are rows, so nothing waits for a result backend."""

    store_errors_even_if_ignored = False
    max_retries = 0
    soft_time_limit = SOFT_TIME_LIMIT_S
    time_limit = TIME_LIMIT_S


class TickTask(BridgeTask):
    """The Celery task of a tick."""

    definition: Tick

    @property
    def expires(self) -> int:  # type: ignore[override]  # a setting, which is read when the tick is sent
        """Seconds after which its message is dropped: one period, so that ticks do not pile up without a worker."""
        return math.ceil(self.definition.period_s(bridge_settings()))


def tick(definition: Tick) -> Callable[[Callable[[TickLease], None]], Any]:
    """Register the function as the Celery task of this tick.

    It runs only while it holds the tick's lease.
    """

    def register(body: Callable[[TickLease], None]) -> Any:
        @shared_task(base=TickTask, name=definition.task, definition=definition)
        @functools.wraps(body)
        def run() -> None:
            try:
                run_tick(definition.name, period_s=definition.period_s(bridge_settings()), body=body)
            finally:
                record_calls()

        return run

    return register


@shared_task(base=BridgeTask, name=WAKEUP_TASK, expires=WAKEUP_EXPIRY_S)
def wake() -> None:
    """Submit what is due now, instead of at the next tick."""
    try:
        submit_due(batch=aws_batch())
    finally:
        record_calls()


@tick(SUBMIT)
def submit_tick(_: TickLease) -> None:
    """Create missing jobs, submit what is due, resolve ambiguous submissions."""
    batch = aws_batch()
    request_missing_jobs(limit=bridge_settings().submit_limit)
    # Before the ambiguous ones: if ListJobs is denied, SubmitJob may still be allowed.
    summary = submit_due(batch=batch)
    resolve_ambiguous(batch=batch)
    if summary.error:
        raise summary.error


@tick(OBSERVE)
def observe_tick(lease: TickLease) -> None:
    """Ask DescribeJobs for the status of attempts, and now and then how much the queue can run."""
    batch = aws_batch()
    observe(batch=batch, tick=lease.number)
    read_queues(batch=batch)


@tick(RESCUE)
def rescue_tick(lease: TickLease) -> None:
    """Replace dead and stalled containers, leave Spot without capacity, reschedule idle jobs, alert operators."""
    rescue(batch=aws_batch(), continuous_since=lease.continuous_since)
    leave_spot()
    resume_idle()
    alert_stuck_runnable()
    alert_overdue()


@tick(REAP)
def reap_tick(_: TickLease) -> None:
    """Terminate Batch jobs whose attempts have ended, and orphans."""
    reap(batch=aws_batch())


@tick(PURGE)
def purge_tick(_: TickLease) -> None:
    """Remove objects and rows that are no longer needed."""
    purge()


@tick(METRICS)
def metrics_tick(_: TickLease) -> None:
    """Add what has ended to the counters, and log the metrics."""
    log_metrics(tally_ended())


@tick(COST)
def cost_tick(_: TickLease) -> None:
    """Work out what attempts that have ended cost."""
    work_out_costs(machines=aws_machines())


@tick(DELIVER)
def deliver_tick(_: TickLease) -> None:
    """Deliver the events of the outbox."""
    deliver()


@tick(EDIT)
def edit_tick(_: TickLease) -> None:
    """Offer captions and chapters that people changed in the playlists of published videos."""
    make_editions()
