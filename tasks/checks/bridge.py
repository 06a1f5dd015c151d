"""System checks: they name a setting that is missing or contradicts another, and the mend. None touches the network.

Errors are `batchreel.E...`, warnings `batchreel.W...`. `manage.py doctor` looks at the parts that run.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

from ..batch.port import CONNECT_TIMEOUT_S, SUBMIT_TIMEOUT_S
from ..conf import BridgeSettings, bridge_settings
from ..schedule.ticks import TICKS
from ..setting_checks import check_database
from ..storage.bucket import LONGEST_CALL_S

if TYPE_CHECKING:
    from collections.abc import Iterator

HEARTBEATS_TO_DEATH = 4
"""Heartbeats that must be missed before silence means death."""

BATCH_LEAST_TIMEOUT_S = 60
"""AWS Batch refuses a shorter attemptDurationSeconds (user guide, "Job timeouts")."""

LONGEST_SIGNED_S = 7 * 86400
"""Amazon S3, "Sharing objects with presigned URLs": seven days with Signature Version 4."""

_ABOVE_ZERO = (
    *(tick.period_setting for tick in TICKS),
    "vcpus",
    "memory_mib",
    "out_of_memory_factor",
    "threads_per_unit",
    "heartbeat_s",
    "stuck_threshold_s",
    "missing_heartbeat_s",
    "tick_lease_s",
    "submit_limit",
    "submit_per_s",
    "submit_burst",
    "describe_limit_ids",
    "rescue_limit",
    "max_attempts",
    "reap_limit",
    "upload_limit_bytes",
    "signed_url_ttl_s",
)
_SEE = "docs/settings.md lists every name, its unit and its default."


@register("batchreel")
def check_django(**_: Any) -> list[CheckMessage]:
    """The secret key and the database."""
    return [*_secret_key(), *_database()]


@register("batchreel")
def check_bridge(**_: Any) -> list[CheckMessage]:
    """The bridge's own names and numbers (tasks/conf.py)."""
    try:
        conf = bridge_settings()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        return [Error(f"BATCHREEL cannot be used: {error}", hint=_SEE, id="batchreel.E001")]
    if wrong := list(_kinds(conf)):
        return wrong
    return [*_names(conf), *_rescue(conf), *_ticks(conf), *_submitting(conf), *_attempt(conf), *_addresses(conf)]


def _secret_key() -> Iterator[CheckMessage]:
    try:
        present = bool(settings.SECRET_KEY)
    except ImproperlyConfigured:
        present = False
    if not present:
        yield Error(
            "SECRET_KEY is empty.",
            hint="Set the environment variable SECRET_KEY to 50 random characters.",
            id="batchreel.E005",
        )


def _database() -> Iterator[CheckMessage]:
    yield from (Error(each.text, hint=each.hint, id=each.code) for each in check_database())


def _addresses(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if conf.signed_url_ttl_s > LONGEST_SIGNED_S:
        yield Error(
            f"signed_url_ttl_s ({conf.signed_url_ttl_s:g}) is more than {LONGEST_SIGNED_S}: S3 refuses longer addresses.",
            hint="Lower signed_url_ttl_s in BATCHREEL.",
            id="batchreel.E019",
        )


def _kinds(conf: BridgeSettings) -> Iterator[CheckMessage]:
    """Every number is a number and every name a text, so that the comparisons after this cannot fail."""
    for each in fields(conf):
        value, kind = getattr(conf, each.name), str(each.type)
        if kind in {"int", "float"}:
            good = _is_number(value, whole=kind == "int", above_zero=each.name in _ABOVE_ZERO)
            wanted = (
                f"{'a whole number' if kind == 'int' else 'a number'}{' above 0' if each.name in _ABOVE_ZERO else ''}"
            )
        elif kind == "str":
            good, wanted = isinstance(value, str), "a text"
        elif kind == "bool":
            good, wanted = isinstance(value, bool), "True or False"
        elif kind == "dict[str, float]":
            good = isinstance(value, dict) and all(_is_number(limit, above_zero=True) for limit in value.values())
            wanted = "an object of names and numbers above 0"
        else:
            good, wanted = isinstance(value, dict), "an object of names and values"
        if not good:
            yield Error(f"BATCHREEL[{each.name!r}] is {value!r}, not {wanted}.", hint=_SEE, id="batchreel.E001")


def _is_number(value: object, *, whole: bool = False, above_zero: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return value > 0 if above_zero else value >= 0


def _names(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if not conf.job_queue:
        yield Error(
            "VIDEO_BATCH_JOB_QUEUE is empty: no job can be submitted.",
            hint="Set it to the name or ARN of the AWS Batch job queue.",
            id="batchreel.E002",
        )
    if not conf.job_definition:
        yield Error(
            "VIDEO_BATCH_JOB_DEFINITION is empty: no job can be submitted.",
            hint="Set it to the name of the job definition; `manage.py register_job_definition` registers it.",
            id="batchreel.E003",
        )
    from ..transcode.plan.profile import PROFILES  # noqa: PLC0415 - media code is loaded by this check only

    if conf.profile not in PROFILES:
        yield Error(
            f"There is no profile named {conf.profile!r}.",
            hint=f"Set BATCHREEL['profile'] to one of: {', '.join(sorted(PROFILES))}.",
            id="batchreel.E006",
        )


def _rescue(conf: BridgeSettings) -> Iterator[CheckMessage]:
    least_s = HEARTBEATS_TO_DEATH * conf.heartbeat_s
    for name in ("stuck_threshold_s", "missing_heartbeat_s"):
        if getattr(conf, name) < least_s:
            yield Error(
                f"{name} ({getattr(conf, name):g}) is less than {HEARTBEATS_TO_DEATH} heartbeats"
                f" ({least_s:g} s): healthy containers would be replaced.",
                hint=f"Raise {name} or lower heartbeat_s in BATCHREEL.",
                id="batchreel.E010",
            )
    stages = set(BridgeSettings().stage_limits_s)
    if given := set(conf.stage_limits_s) ^ stages:
        yield Error(
            f"stage_limits_s must name exactly the stages {', '.join(sorted(stages))}; wrong or missing:"
            f" {', '.join(sorted(given))}.",
            hint="Give a limit in seconds for each stage.",
            id="batchreel.E017",
        )
        return
    for stage in ("fetch", "store", "publish"):
        if conf.storage_retry_s + LONGEST_CALL_S > conf.stage_limits_s[stage]:
            yield Error(
                f"storage_retry_s ({conf.storage_retry_s:g}) and one call ({LONGEST_CALL_S} s) are more than"
                f" stage_limits_s[{stage!r}] ({conf.stage_limits_s[stage]:g}): containers that wait for the storage would be replaced.",
                hint="Lower storage_retry_s or raise the limit in BATCHREEL.",
                id="batchreel.E007",
            )


def _ticks(conf: BridgeSettings) -> Iterator[CheckMessage]:
    for tick in TICKS:
        name, period_s = tick.period_setting, tick.period_s(conf)
        if period_s > conf.stuck_threshold_s:
            yield Error(
                f"{name} ({period_s:g}) is longer than stuck_threshold_s ({conf.stuck_threshold_s:g}):"
                " dead containers are noticed late.",
                hint=f"Lower {name} in BATCHREEL.",
                id="batchreel.E011",
            )
    limit_s = getattr(settings, "CELERY_TASK_TIME_LIMIT", None)
    if limit_s and conf.tick_lease_s < limit_s:
        yield Error(
            f"tick_lease_s ({conf.tick_lease_s:g}) is less than CELERY_TASK_TIME_LIMIT ({limit_s:g}):"
            " two ticks would run at once.",
            hint="Raise tick_lease_s in BATCHREEL.",
            id="batchreel.E012",
        )


def _submitting(conf: BridgeSettings) -> Iterator[CheckMessage]:
    limit_s = getattr(settings, "CELERY_TASK_SOFT_TIME_LIMIT", None)
    call_s = CONNECT_TIMEOUT_S + SUBMIT_TIMEOUT_S
    if limit_s and conf.submit_time_limit_s + call_s > limit_s:
        yield Error(
            f"submit_time_limit_s ({conf.submit_time_limit_s:g}) and one call ({call_s:g} s) are more than"
            f" CELERY_TASK_SOFT_TIME_LIMIT ({limit_s:g}): a submit tick is ended in the middle of a SubmitJob.",
            hint="Lower submit_time_limit_s in BATCHREEL.",
            id="batchreel.E018",
        )


def _attempt(conf: BridgeSettings) -> Iterator[CheckMessage]:
    if conf.attempt_timeout_s < BATCH_LEAST_TIMEOUT_S:
        yield Error(
            f"attempt_timeout_s ({conf.attempt_timeout_s}) is less than {BATCH_LEAST_TIMEOUT_S}:"
            " AWS Batch refuses every SubmitJob.",
            hint="Raise attempt_timeout_s in BATCHREEL.",
            id="batchreel.E013",
        )
    if conf.memory_cap_mib < conf.memory_mib:
        yield Error(
            f"memory_cap_mib ({conf.memory_cap_mib}) is less than memory_mib ({conf.memory_mib}).",
            hint="Raise memory_cap_mib or lower memory_mib in BATCHREEL.",
            id="batchreel.E014",
        )
    if conf.vcpus < conf.threads_per_unit:
        yield Error(
            f"vcpus ({conf.vcpus}) is less than threads_per_unit ({conf.threads_per_unit}): no container could encode.",
            hint="Raise vcpus or lower threads_per_unit in BATCHREEL.",
            id="batchreel.E015",
        )
    if conf.final_status_wait_s < conf.missing_min_age_s:
        yield Warning(
            f"final_status_wait_s ({conf.final_status_wait_s:g}) is less than missing_min_age_s"
            f" ({conf.missing_min_age_s:g}): a silent attempt is counted before AWS Batch can report that its host was lost.",
            hint="Raise final_status_wait_s in BATCHREEL.",
            id="batchreel.W016",
        )
