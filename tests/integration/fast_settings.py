"""The settings of a quick site."""

from __future__ import annotations

from typing import Any

QUICK: dict[str, Any] = {
    "profile": "fast",
    "vcpus": 1,
    "memory_mib": 512,
    "heartbeat_s": 0.1,
    "submit_tick_s": 1,
    "observe_tick_s": 1,
    "rescue_tick_s": 1,
    "reap_tick_s": 1,
    "poll_running_s": 1,
    "submit_lookup_delay_s": 1,
    "missing_heartbeat_s": 1,
    "missing_answers_limit": 2,
    "succeeded_grace_s": 1,
    "backoff_first_s": 0.1,
}
"""Periods and waits of a second or less, where production has many: the order of things stays the same."""
