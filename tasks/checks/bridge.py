"""System checks of the bridge's settings: missing or contradictory ones, each with the fix.

None of them uses the network. Errors are `batchreel.E...`, warnings `batchreel.W...`. `manage.py
doctor` checks the running parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router

from ..conf import BridgeSettings, bridge_settings
from ..models import Video
from ..setting_checks import check_database
from ..storage.timeouts import MAX_CALL_S
from .kinds import SEE, check_kinds
from .outbox import check_outbox
from .profiles import check_profiles
from .push import check_push
from .ticks import check_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_MISSED_HEARTBEATS = 4
"""Minimum number of missed heartbeats before a container may count as dead."""

DAY_S = 86_400

BATCH_MIN_TIMEOUT_S = 60
"""AWS Batch rejects a shorter attemptDurationSeconds (user guide, "Job timeouts")."""

MAX_SIGNED_URL_TTL_S = 7 * 86400
"""Maximum validity of a presigned URL: seven days with Signature Version 4 (Amazon S3, "Sharing
objects with presigned URLs")."""


@register("batchreel")
def check_django(**_: Any) -> list[CheckMessage]:
    """Check the secret key and the database."""
    return [*_secret_key(), *_database()]


@register("batchreel")
def check_bridge(**_: Any) -> list[CheckMessage]:
    """Check the bridge's own settings (tasks/conf.py)."""
    try:
        conf = bridge_settings()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        return [Error(f"BATCHREEL is invalid: {error}", hint=SEE, id="batchreel.E001")]
    if wrong := list(check_kinds(conf)):
        return wrong
    return [
        *_names(conf),
        *check_profiles(conf),
        *_rescue(conf),
        *_children(conf),
        *check_ticks(conf),
        *check_push(conf),
        *_attempt(conf),
        *_quotas(conf),
        *_prices(conf),
        *_signed_urls(conf),
        *check_outbox(conf),
    ]


def _secret_key() -> Iterator[CheckMessage]:
    try:
        present = bool(settings.SECRET_KEY)
    except ImproperlyConfigured:
        present = False
    if not present:
        yield Error(
            "SECRET_KEY is not set.",
            hint="Set the environment variable SECRET_KEY to 50 random characters.",
            id="batchreel.E005",
        )


def _database() -> Iterator[CheckMessage]:
    yield from (Error(each.text, hint=each.hint, id=each.code) for each in check_database())
    moved = {router.db_for_read(Video), router.db_for_write(Video)} - {DEFAULT_DB_ALIAS}
    if moved:
        yield Error(
            f"A router of DATABASE_ROUTERS sends Batchreel's rows to the database {', '.join(sorted(moved))}, but its transactions"
            f" and row locks are those of {DEFAULT_DB_ALIAS!r}.",
            hint="Return None for the app label 'batchreel', and use other aliases for your own rows.",
            id="batchreel.E033",
        )


def _signed_urls(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if conf.signed_url_ttl_s > MAX_SIGNED_URL_TTL_S:
        yield Error(
            f"signed_url_ttl_s ({conf.signed_url_ttl_s:g}) is more than {MAX_SIGNED_URL_TTL_S}, the longest validity of a"
            " presigned S3 URL.",
            hint=f"Set signed_url_ttl_s in BATCHREEL to {MAX_SIGNED_URL_TTL_S} or less.",
            id="batchreel.E019",
        )


def _names(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if not conf.job_queue:
        yield Error(
            "BATCHREEL has no job_queue and VIDEO_BATCH_JOB_QUEUE is not set, so no job can be submitted.",
            hint=f"Set it to the name or ARN of the AWS Batch job queue{_where('job_queue', 'VIDEO_BATCH_JOB_QUEUE')}",
            id="batchreel.E002",
        )
    if not conf.job_definition:
        yield Error(
            "BATCHREEL has no job_definition and VIDEO_BATCH_JOB_DEFINITION is not set, so no job can be submitted.",
            hint="Set it to the name of the job definition that `manage.py register_job_definition` registers"
            f"{_where('job_definition', 'VIDEO_BATCH_JOB_DEFINITION')}",
            id="batchreel.E003",
        )


def _where(name: str, outside: str) -> str:
    return (
        f": BATCHREEL[{name!r}] or {outside} in the settings module, or the environment variable {outside} if that module"
        " reads it, as Batchreel's own does."
    )


def _quotas(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if conf.owner_retries_per_day and conf.event_retention_s < DAY_S:
        yield Error(
            f"event_retention_s ({conf.event_retention_s:g}) is less than a day, so retries would expire before"
            " owner_retries_per_day could count them.",
            hint="Raise event_retention_s to 86400 or more, or set owner_retries_per_day to 0, in BATCHREEL.",
            id="batchreel.E053",
        )


def _prices(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if conf.spot_vcpu_h_usd > conf.on_demand_vcpu_h_usd:
        yield Warning(
            f"spot_vcpu_h_usd ({conf.spot_vcpu_h_usd:g}) is more than on_demand_vcpu_h_usd"
            f" ({conf.on_demand_vcpu_h_usd:g}), but AWS charges less for Spot machines.",
            hint="Set both in BATCHREEL to the prices of a vCPU for an hour in your region: docs/costs.md.",
            id="batchreel.W063",
        )


def _rescue(conf: BridgeSettings) -> Iterator[CheckMessage]:
    least_s = MIN_MISSED_HEARTBEATS * conf.heartbeat_s
    for name in ("silence_threshold_s", "missing_heartbeat_s"):
        if getattr(conf, name) < least_s:
            yield Error(
                f"{name} ({getattr(conf, name):g}) is less than {MIN_MISSED_HEARTBEATS} heartbeats"
                f" ({least_s:g} s), so healthy containers would be replaced.",
                hint=f"Raise {name} or lower heartbeat_s in BATCHREEL.",
                id="batchreel.E010",
            )
    if conf.database_retry_s < conf.silence_threshold_s:
        yield Error(
            f"database_retry_s ({conf.database_retry_s:g}) is less than silence_threshold_s"
            f" ({conf.silence_threshold_s:g}), so containers would give up before a break is noticed.",
            hint="Raise database_retry_s or lower silence_threshold_s in BATCHREEL.",
            id="batchreel.E031",
        )
    stages = set(BridgeSettings().stage_limits_s)
    if wrong := set(conf.stage_limits_s) ^ stages:
        yield Error(
            f"stage_limits_s must contain exactly the stages {', '.join(sorted(stages))}; missing or unknown:"
            f" {', '.join(sorted(wrong))}.",
            hint="Set a limit in seconds for each of these stages in BATCHREEL.",
            id="batchreel.E017",
        )
        return
    for stage in ("fetch", "store", "publish"):
        if conf.storage_retry_s + MAX_CALL_S > conf.stage_limits_s[stage]:
            yield Error(
                f"storage_retry_s ({conf.storage_retry_s:g}) plus one call to the storage ({MAX_CALL_S} s) is more than"
                f" stage_limits_s[{stage!r}] ({conf.stage_limits_s[stage]:g}), so containers that wait for the storage would"
                " be replaced.",
                hint=f"Lower storage_retry_s or raise the limit of {stage!r} in BATCHREEL.",
                id="batchreel.E007",
            )


def _children(conf: BridgeSettings) -> Iterator[CheckMessage]:
    from ..transcode.sandbox.limits import MAX_IDLE_S  # noqa: PLC0415 - only this check needs it

    for stage in ("fetch", "plan", "encode", "publish"):
        limit_s = conf.stage_limits_s.get(stage)
        if limit_s is not None and limit_s < 2 * MAX_IDLE_S:
            yield Error(
                f"stage_limits_s[{stage!r}] ({limit_s:g}) is less than twice the {MAX_IDLE_S:g} s after which a container"
                " ends an ffmpeg that hangs, so the container would be replaced before it can report that.",
                hint=f"Raise the limit of {stage!r} in BATCHREEL to {2 * MAX_IDLE_S:g} or more.",
                id="batchreel.E032",
            )


def _attempt(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if conf.attempt_timeout_s < BATCH_MIN_TIMEOUT_S:
        yield Error(
            f"attempt_timeout_s ({conf.attempt_timeout_s}) is less than {BATCH_MIN_TIMEOUT_S},"
            " so AWS Batch would reject every SubmitJob.",
            hint=f"Set attempt_timeout_s in BATCHREEL to {BATCH_MIN_TIMEOUT_S} or more.",
            id="batchreel.E013",
        )
    if conf.scratch_wait_s >= conf.attempt_timeout_s:
        yield Error(
            f"scratch_wait_s ({conf.scratch_wait_s:g}) is not less than attempt_timeout_s ({conf.attempt_timeout_s}), so"
            " containers that wait for disk space would time out.",
            hint="Lower scratch_wait_s or raise attempt_timeout_s in BATCHREEL.",
            id="batchreel.E030",
        )
    if conf.memory_cap_mib < conf.memory_mib:
        yield Error(
            f"memory_cap_mib ({conf.memory_cap_mib}) is less than memory_mib ({conf.memory_mib}).",
            hint="Raise memory_cap_mib or lower memory_mib in BATCHREEL.",
            id="batchreel.E014",
        )
    if conf.vcpus < conf.threads_per_unit:
        yield Error(
            f"vcpus ({conf.vcpus}) is less than threads_per_unit ({conf.threads_per_unit}), so one unit would use more"
            " threads than its container has vCPUs.",
            hint="Raise vcpus or lower threads_per_unit in BATCHREEL.",
            id="batchreel.E015",
        )
    if conf.final_status_wait_s < conf.missing_min_age_s:
        yield Warning(
            f"final_status_wait_s ({conf.final_status_wait_s:g}) is less than missing_min_age_s"
            f" ({conf.missing_min_age_s:g}), so silent attempts would be counted before AWS Batch can report a lost host.",
            hint="Raise final_status_wait_s in BATCHREEL.",
            id="batchreel.W016",
        )
