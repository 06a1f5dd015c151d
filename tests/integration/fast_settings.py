"""The settings of a site whose periods and waits are short."""

from __future__ import annotations

from typing import Any

FAST_SETTINGS: dict[str, Any] = {
    "profile": "fast",
    "vcpus": 1,
    "memory_mib": 512,
    "heartbeat_s": 0.1,
    "max_in_batch": 10_000,
    "submit_tick_s": 1,
    "observe_tick_s": 1,
    "rescue_tick_s": 1,
    "reap_tick_s": 1,
    "purge_tick_s": 1,
    "metrics_tick_s": 1,
    "cost_tick_s": 1,
    "deliver_tick_s": 1,
    "edit_tick_s": 1,
    "poll_running_s": 1,
    "submit_lookup_delay_s": 1,
    "missing_heartbeat_s": 1,
    "missing_responses_limit": 2,
    "succeeded_grace_s": 1,
    "backoff_first_s": 0.1,
    "machine_hold_s": 0,
}
"""Periods and waits of a second or less instead of production's many; the order of events stays the same."""
