"""The beat entries, as data, and the queue of each Celery task. `sync_schedule` writes them to django-celery-beat's tables on migrate.

An entry has `expire_seconds` equal to its period, so that ticks which piled up while workers were away do not run; never `expires`,
which the DatabaseScheduler drops without a word (measured).
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.conf import BridgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One beat entry: which Celery task, how often, and what it is for."""

    name: str
    task: str
    queue: str
    period_s: float
    purpose: str


def entries(conf: BridgeSettings) -> tuple[Entry, ...]:
    """All entries, with the periods of the settings."""
    return (
        Entry(
            name="batchreel: submit",
            task="batchreel.submit",
            queue="submit",
            period_s=conf.submit_tick_s,
            purpose="Give complete videos without a job their job, and submit the jobs that are due.",
        ),
        Entry(
            name="batchreel: observe",
            task="batchreel.observe",
            queue="observe",
            period_s=conf.observe_tick_s,
            purpose="Ask DescribeJobs what became of the attempts.",
        ),
        Entry(
            name="batchreel: rescue",
            task="batchreel.rescue",
            queue="observe",
            period_s=conf.rescue_tick_s,
            purpose="Replace containers that are silent or make no progress.",
        ),
        Entry(
            name="batchreel: reap",
            task="batchreel.reap",
            queue="maintain",
            period_s=conf.reap_tick_s,
            purpose="End what nobody owns: stray Batch jobs, objects of losing fences, deleted videos.",
        ),
    )


ROUTES = {
    "batchreel.hint": {"queue": "submit"},
    "batchreel.submit": {"queue": "submit"},
    "batchreel.observe": {"queue": "observe"},
    "batchreel.rescue": {"queue": "observe"},
    "batchreel.reap": {"queue": "maintain"},
}
