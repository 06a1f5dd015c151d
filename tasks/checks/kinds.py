"""System checks of the type of every setting, so that the comparisons of the other checks cannot fail."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from ..conf import BridgeSettings
from ..schedule.ticks import TICKS

if TYPE_CHECKING:
    from collections.abc import Iterator

SEE = "See docs/reference/settings.md for every name, its unit and its default."

_SOURCE = re.compile(r"[^\s,;]+")

_ABOVE_ZERO = (
    "share_link_max_days",
    "cdn_cookie_ttl_s",
    *(tick.period_setting for tick in TICKS),
    "vcpus",
    "memory_mib",
    "out_of_memory_factor",
    "threads_per_unit",
    "heartbeat_s",
    "silence_threshold_s",
    "missing_heartbeat_s",
    "tick_lease_s",
    "submit_limit",
    "break_share",
    "break_min_containers",
    "describe_limit_ids",
    "rescue_limit",
    "max_attempts",
    "one_machine_verdicts",
    "reap_limit",
    "list_limit_pages",
    "purge_limit",
    "edition_limit",
    "edition_time_limit_s",
    "cost_limit",
    "event_retention_s",
    "upload_limit_bytes",
    "signed_url_ttl_s",
    "body_limit_bytes",
    "large_bodies_per_process",
    "fetch_connections",
    "fetch_range_mib",
    "helper_target_s",
    "speech_cpu_s_per_s",
    "push_timeout_s",
    "event_time_limit_s",
    "deliver_time_limit_s",
    "delivery_retry_s",
    "outbox_retention_s",
    "webhook_timeout_s",
    "webhook_connections",
    "webhook_connections_per_endpoint",
    "webhook_disable_after_s",
    "worker_exit_limit_s",
)


def check_kinds(conf: BridgeSettings) -> Iterator[CheckMessage]:
    """Check the type of every setting, so that the comparisons of the other checks cannot fail."""
    for each in fields(conf):
        value, kind = getattr(conf, each.name), str(each.type)
        if kind in {"int", "float"}:
            good = _is_number(value, whole=kind == "int", above_zero=each.name in _ABOVE_ZERO)
            wanted = (
                f"{'a whole number' if kind == 'int' else 'a number'}{' above 0' if each.name in _ABOVE_ZERO else ''}"
            )
        elif kind == "str":
            good, wanted = isinstance(value, str), "a string"
        elif kind == "bool":
            good, wanted = isinstance(value, bool), "True or False"
        elif kind == "dict[str, float]":
            good = isinstance(value, dict) and all(_is_number(limit, above_zero=True) for limit in value.values())
            wanted = "a dictionary of names and numbers above 0"
        elif kind == "list[str]":
            good = isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value)
            wanted = "a list of strings"
            if good and each.name == "frame_ancestors":
                # A semicolon would begin another directive of the policy.
                good, wanted = (
                    all(map(_SOURCE.fullmatch, value)),
                    "a list of sources without spaces, commas or semicolons",
                )
        elif kind == "list[int]":
            good = isinstance(value, list) and all(_is_number(entry, whole=True) for entry in value)
            wanted = "a list of whole numbers"
        else:
            good, wanted = isinstance(value, dict), "a dictionary of names and values"
        if not good:
            yield Error(f"BATCHREEL[{each.name!r}] must be {wanted}, but is {value!r}.", hint=SEE, id="batchreel.E001")


def _is_number(value: object, *, whole: bool = False, above_zero: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return value > 0 if above_zero else value >= 0
