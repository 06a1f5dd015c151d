"""The one settings object: every number of the bridge, with its unit in its name and the reason for its value.

A site overrides any of them in Django's settings: `BATCHREEL = {"stuck_threshold_s": 300}`. How the numbers must relate is checked by
`manage.py check` (tasks/checks/bridge.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSettings:
    """All numbers and names of the bridge. Seconds end in `_s`, mebibytes in `_mib`."""

    # AWS Batch. The first two have settings of their own, under the names that users of the old system know.
    job_queue: str = ""
    job_definition: str = ""
    job_name_prefix: str = "batchreel"
    """Batch jobs whose name begins with this and a dash are ours to reap."""
    image: str = "batchreel-container:latest"
    job_role_arn: str = ""
    execution_role_arn: str = ""
    log_group: str = "/aws/batch/job"
    secrets: dict[str, str] = field(default_factory=dict)
    """Environment name -> ARN of the secret that Batch puts there (DATABASE_URL and the like)."""
    vcpus: int = 2
    memory_mib: int = 4096
    memory_cap_mib: int = 16384
    out_of_memory_factor: float = 1.5
    attempt_timeout_s: int = 6 * 3600
    """Batch ends an attempt after this. Batch itself refuses less than 60."""

    # Media.
    profile: str = "standard"
    threads_per_unit: int = 1
    """Encoder threads a unit gets. It is fixed in the plan, because x264's bytes depend on it."""

    full_verify: bool = False
    """Whether everything is decoded once more before it is published, not just the first and last segment of each track."""

    # Heartbeat and rescue.
    heartbeat_s: float = 20
    stuck_threshold_s: float = 180
    """Silence that means death. At least four heartbeats."""
    stage_limits_s: dict[str, float] = field(
        default_factory=lambda: {"claim": 300, "fetch": 600, "plan": 900, "encode": 600, "store": 600, "publish": 900}
    )
    """How long a live container may show no progress in each stage. No less than the stuck threshold."""

    # Ticks: the periods of the beat entries.
    submit_tick_s: float = 15
    observe_tick_s: float = 15
    rescue_tick_s: float = 30
    reap_tick_s: float = 60
    tick_lease_s: float = 26
    """A tick's lease row is taken over by the next tick after this. No less than Celery's hard time limit."""

    # Submitting.
    submit_limit: int = 100
    """Most SubmitJob calls in one tick."""
    submit_max_rejections: int = 3
    """After so many attempts that SubmitJob refused in one tick, for whatever they ask, the rest waits for the next."""
    submit_time_limit_s: float = 10
    """No SubmitJob is begun after this in one tick. With one call's time-out, less than Celery's soft time limit."""
    submit_per_s: float = 20
    """Our share of the account's SubmitJob rate (AWS: 50 a second, for account and region)."""
    submit_burst: int = 20
    submit_lookup_delay_s: float = 60
    """After a ambiguous SubmitJob, the wait before each look for the Batch job by its name."""
    rejected_submit_wait_s: float = 30
    """After a SubmitJob that AWS denied or refused, the wait before the next call."""
    throttled_submit_wait_s: float = 2
    """The same where AWS throttled it: its quota fills up again within a second."""

    # Observing.
    describe_limit_ids: int = 1000
    """Most Batch jobs asked for in one tick: ten DescribeJobs calls."""
    poll_running_s: float = 60
    """How often an attempt with a fresh heartbeat is asked about all the same."""
    start_timeout_s: float = 900
    """A Batch job that was in STARTING, or RUNNING without a claim, for this long is replaced. About one start in a hundred hangs."""
    runnable_alert_s: float = 1800
    """A Batch job that was in RUNNABLE for this long has a cause that somebody must see: an event says Batch's reason."""
    poll_fast_until_s: float = 300
    """An attempt that has not started is asked about at each tick until this age, then each `poll_running_s`."""
    missing_answers_limit: int = 4
    """Absent answers in a row that count: of a hundred answers one may be empty, and a waiting job is asked about for days."""
    missing_heartbeat_s: float = 80
    """Silence that, with so many missing_answers, means that a Batch job is gone: shorter than where silence is the only sign."""
    missing_min_age_s: float = 120
    succeeded_grace_s: float = 60
    """Batch says SUCCEEDED, the container has not said so in its row: the wait before the attempt is failed."""
    final_status_wait_s: float = 900
    """How long the charge of a silent attempt waits for Batch's verdict."""
    rescue_api_time_limit_s: float = 5
    """After this, a rescue tick asks and terminates no more: it only fences, and the reap tick repeats the terminates."""

    rescue_limit: int = 500
    """Most containers given up in one tick. A zone that is cut off takes many at once; fencing one takes some milliseconds."""

    # Budget.
    max_attempts: int = 5
    max_losses_in_a_row: int = 20
    backoff_first_s: float = 10
    backoff_cap_s: float = 600

    # Reaping.
    orphan_grace_s: float = 60
    """A Batch job of ours without a live attempt is left alone until this age, by the database's clock."""
    reap_limit: int = 50
    """Most terminations and purges of each kind in one tick."""
    purge_time_limit_s: float = 4
    """No row of a kind is begun to be purged after this in one tick; there are three kinds."""
    superseded_retention_s: float = 7 * 86400
    """How long a publication stays after a newer one replaced it, for viewers who are in the middle of it."""

    # Uploads, and what viewers get.
    upload_limit_bytes: int = 50 * 1024**3
    """Largest file that is taken: five times a 10 GB lecture."""
    upload_retention_s: float = 7 * 86400
    """A direct upload that is not complete after this is given up. Buckets charge for parts until then."""
    signed_url_ttl_s: float = 6 * 3600
    """How long the signed addresses of a private bucket work. A player asks for new ones when they have run out. At most 7 days."""
    scratch_reserve_mib: int = 2048
    """What has to be free on a container's disk beside the source: a few units at a time, of every rung."""
    storage_retry_s: float = 480
    """For so long an outage of the storage costs a container its time, not its attempt; then it leaves before it is replaced."""

    # Hints.
    broker_timeout_s: float = 1.0
    """The longest that a request waits for the broker to take a hint."""
    broker_backoff_s: float = 30
    """After a hint could not be sent, none is tried in this process for this long."""


@cache
def bridge_settings() -> BridgeSettings:
    """The settings in force. Raises ImproperlyConfigured for a name that does not exist."""
    overrides: dict[str, Any] = dict(getattr(settings, "BATCHREEL", {}))
    known = {each.name for each in fields(BridgeSettings)}
    if unknown := sorted(set(overrides) - known):
        message = f"BATCHREEL has no setting named {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        raise ImproperlyConfigured(message)
    overrides.setdefault("job_queue", getattr(settings, "VIDEO_BATCH_JOB_QUEUE", ""))
    overrides.setdefault("job_definition", getattr(settings, "VIDEO_BATCH_JOB_DEFINITION", ""))
    return BridgeSettings(**overrides)


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    if setting in {"BATCHREEL", "VIDEO_BATCH_JOB_QUEUE", "VIDEO_BATCH_JOB_DEFINITION"}:
        bridge_settings.cache_clear()
