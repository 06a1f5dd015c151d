"""Scaling: how many containers work on one job at a time. Pure.

A job's first container is its lead. While much work is left, others help it: each leases units like
the lead, so who does which unit makes no difference. A lead and its helpers are a round, which has
the lead's number. A round counts once, however many of its containers failed, and is one loss if all
of them were lost: a unit or a zone that is bad for one of them is bad for all.

The number of containers follows the work that is left, measured in slot seconds: the seconds that one
slot of a container would take for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperRule:
    """Numbers of the rule, from the settings."""

    target_s: float
    """Seconds of work that each container should have left."""
    min_work_s: float
    """No helpers for less work than this, in slot seconds."""
    max_helpers: int
    max_early_helpers: int
    """Most helpers before the plan, when the work is only guessed from the source's size."""
    slots: int
    """Units that a container works on at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is left to do of a job."""

    left_s: float
    """Slot seconds, estimated."""
    units_left: int | None = None
    """Units that are not finished, or None if they are not known yet."""
    is_guess: bool = False
    """Whether only the size of the source is known."""


def wanted_helpers(work: Work, rule: HelperRule) -> int:
    """Return how many helpers should work on the job next to its lead."""
    if work.left_s < rule.min_work_s:
        return 0
    containers = math.ceil(work.left_s / (rule.slots * rule.target_s))
    most = rule.max_helpers
    if work.is_guess:
        most = min(most, rule.max_early_helpers)
    if work.units_left is not None:
        containers = min(containers, math.ceil(work.units_left / rule.slots))
    return max(0, min(most, containers - 1))


def missing_helpers(*, wanted: int, live: int, room: int) -> int:
    """Return how many helpers to submit now. `room` is how many more the helpers' queue can run."""
    return max(0, min(wanted - live, room))


def surplus_helpers(*, wanted: int, running: int, waiting: int) -> int:
    """Return how many helpers that still wait for a machine are not needed any more.

    One that runs is left alone: it ends by itself as soon as there is no unit for it.
    """
    return min(waiting, max(0, running + waiting - wanted))


def work_left_s(
    *, planned_s: float, done_frames: int, all_frames: int, measured_s: float, min_share: float = 0.05
) -> float:
    """Return the slot seconds of the frames that are not done.

    `planned_s` is the plan's estimate for all frames, `measured_s` what the done ones took. The
    measurement replaces the estimate gradually, and completely once `min_share` of the frames is done.
    """
    if all_frames <= 0:
        return planned_s
    left_frames = max(0, all_frames - done_frames)
    planned_frame_s = planned_s / all_frames
    if done_frames <= 0:
        return left_frames * planned_frame_s
    weight = min(1.0, done_frames / (min_share * all_frames))
    frame_s = weight * (measured_s / done_frames) + (1 - weight) * planned_frame_s
    return left_frames * frame_s
