"""System checks of ticks: each must end within Celery's time limits, and run often enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from ..batch.port import CONNECT_TIMEOUT_S, MAX_READ_S, SUBMIT_TIMEOUT_S
from ..conf import BridgeSettings
from ..schedule.ticks import SOFT_TIME_LIMIT_S, TICKS, TIME_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

PURGED_KINDS = 4
"""Kinds of row of a purge tick: events, deleted videos, superseded publications, ended jobs."""


def check_ticks(conf: BridgeSettings) -> Iterator[CheckMessage]:
    """Check periods and time limits of the ticks."""
    yield from _periods(conf)
    yield from _time_limits(conf)
    yield from _submitting(conf)


def _periods(conf: BridgeSettings) -> Iterator[CheckMessage]:
    for tick in TICKS:
        name, period_s = tick.period_setting, tick.period_s(conf)
        if period_s > conf.silence_threshold_s:
            yield Error(
                f"{name} ({period_s:g}) is longer than silence_threshold_s ({conf.silence_threshold_s:g}),"
                " so dead containers would be noticed late.",
                hint=f"Lower {name} in BATCHREEL.",
                id="batchreel.E011",
            )


def _time_limits(conf: BridgeSettings) -> Iterator[CheckMessage]:
    for name in ("observe_time_limit_s", "rescue_api_time_limit_s", "reap_time_limit_s"):
        if getattr(conf, name) + MAX_READ_S > SOFT_TIME_LIMIT_S:
            yield Error(
                f"{name} ({getattr(conf, name):g}) plus one call to AWS Batch ({MAX_READ_S} s) is more than"
                f" the soft time limit of ticks ({SOFT_TIME_LIMIT_S} s), so a tick could be stopped during a call.",
                hint=f"Lower {name} in BATCHREEL.",
                id="batchreel.E046",
            )
    if conf.cost_time_limit_s + MAX_READ_S > SOFT_TIME_LIMIT_S:
        yield Error(
            f"cost_time_limit_s ({conf.cost_time_limit_s:g}) plus one call to AWS ({MAX_READ_S} s) is more than"
            f" the soft time limit of ticks ({SOFT_TIME_LIMIT_S} s), so a cost tick could be stopped during a call.",
            hint="Lower cost_time_limit_s in BATCHREEL.",
            id="batchreel.E064",
        )
    if PURGED_KINDS * conf.purge_time_limit_s >= SOFT_TIME_LIMIT_S:
        yield Error(
            f"purge_time_limit_s ({conf.purge_time_limit_s:g}) for each of {PURGED_KINDS} kinds of row is not less than"
            f" the soft time limit of ticks ({SOFT_TIME_LIMIT_S} s), so a purge tick could be stopped before it ends.",
            hint="Lower purge_time_limit_s in BATCHREEL.",
            id="batchreel.E047",
        )
    if conf.tick_lease_s < TIME_LIMIT_S:
        yield Error(
            f"tick_lease_s ({conf.tick_lease_s:g}) is less than the time limit of ticks ({TIME_LIMIT_S} s),"
            " so two ticks could run at the same time.",
            hint=f"Set tick_lease_s in BATCHREEL to {TIME_LIMIT_S} or more.",
            id="batchreel.E012",
        )


def _submitting(conf: BridgeSettings) -> Iterator[CheckMessage]:
    call_s = CONNECT_TIMEOUT_S + SUBMIT_TIMEOUT_S
    if conf.submit_time_limit_s + call_s > SOFT_TIME_LIMIT_S:
        yield Error(
            f"submit_time_limit_s ({conf.submit_time_limit_s:g}) plus one SubmitJob call ({call_s:g} s) is more than"
            f" the soft time limit of ticks ({SOFT_TIME_LIMIT_S} s), so a submit tick could be stopped during a call.",
            hint="Lower submit_time_limit_s in BATCHREEL.",
            id="batchreel.E018",
        )
