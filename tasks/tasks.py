"""The Celery tasks: fetch the port, call a service. Each is seconds long, carries no argument, and may run any number of times."""

from __future__ import annotations

from celery import shared_task

from tasks.batch.aws import aws_batch
from tasks.conf import bridge_settings
from tasks.services.doubt import resolve_doubts
from tasks.services.observe import OBSERVE_TICK, observe
from tasks.services.reap import reap
from tasks.services.request import request_overlooked
from tasks.services.rescue import RESCUE_TICK, rescue
from tasks.services.resume import resume_idle
from tasks.services.submit import submit_due
from tasks.services.tick import TickLease, run_tick
from tasks.services.waiting import note_waiting, warn_of_overdue


@shared_task(name="batchreel.hint")
def hint() -> None:
    """There is work: submit what is due, now rather than at the next tick."""
    submit_due(batch=aws_batch())


@shared_task(name="batchreel.submit")
def submit_tick() -> None:
    """Give overlooked videos their job, submit what is due, settle doubtful submissions."""

    def body(_: TickLease) -> None:
        batch = aws_batch()
        request_overlooked(limit=bridge_settings().submit_batch_jobs)
        # Before the doubts: where ListJobs is refused, SubmitJob may work all the same.
        summary = submit_due(batch=batch)
        resolve_doubts(batch=batch)
        if summary.trouble:
            raise summary.trouble

    run_tick("submit", period_s=bridge_settings().submit_tick_s, body=body)


@shared_task(name="batchreel.observe")
def observe_tick() -> None:
    """Ask DescribeJobs what became of the attempts."""

    def body(lease: TickLease) -> None:
        observe(batch=aws_batch(), tick=lease.number)

    run_tick(OBSERVE_TICK, period_s=bridge_settings().observe_tick_s, body=body)


@shared_task(name="batchreel.rescue")
def rescue_tick() -> None:
    """Replace containers that are silent, make no progress or hang in their start; resume what nobody is at work on."""

    def body(lease: TickLease) -> None:
        rescue(batch=aws_batch(), unbroken_since=lease.unbroken_since)
        resume_idle()
        note_waiting()
        warn_of_overdue()

    run_tick(RESCUE_TICK, period_s=bridge_settings().rescue_tick_s, body=body)


@shared_task(name="batchreel.reap")
def reap_tick() -> None:
    """End what nobody owns."""

    def body(_: TickLease) -> None:
        reap(batch=aws_batch())

    run_tick("reap", period_s=bridge_settings().reap_tick_s, body=body)
