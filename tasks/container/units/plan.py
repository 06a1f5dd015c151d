"""The plan unit: probe the source, plan the output, and insert the units that the plan asks for."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from ...conf import bridge_settings
from ...lifecycle.scaling import Work, wanted_helpers
from ...lifecycle.states import UnitKind
from ...services.container_api.claim import Claim, Lease
from ...services.container_api.finish import PlannedUnit, finish_plan
from ...transcode import (
    Plan,
    Profile,
    ProfileError,
    SourceInfo,
    check_cost,
    describe_warning,
    encode_cost_s,
    make_plan,
    probe_source,
    profile_from_json,
    with_reads,
)
from ...transcode.speech.port import engine_problem
from ..context import ContainerContext

logger = logging.getLogger(__name__)

_AUDIO_WEIGHT = 20
"""Encoding the audio takes about a twentieth of the time of the video (measured: 0.04 and 0.9 CPU
seconds per second). Each audio unit is encoded from the beginning."""


def run_plan(context: ContainerContext, lease: Lease, slot: int, _: Path) -> bool:
    profile = _profile(context.claim)
    reading = partial(context.progress.advance_read, slot)
    # Read as it arrives: from the page cache, which is smaller than a large source.
    with context.arriving_source(slot) as arriving:
        path = arriving.path
        if arriving.wait_for is None:
            context.progress.start_stage(slot, "plan")
        source = probe_source(path, stop=context.stop, reading=reading, wait_for=arriving.wait_for)
    context.progress.start_stage(slot, "plan")
    plan = plan_for(source, profile, transcribes=_transcribes(context.claim, profile))
    check_cost(plan, limit_cpu_h=bridge_settings().max_encode_cpu_h)
    plan = with_reads(plan, source, path, stop=context.stop, reading=reading)
    notes = [describe_warning(warning)["message"] for warning in plan.warnings]
    context.database(
        partial(
            finish_plan,
            context.claim,
            lease,
            plan=plan.to_json(),
            units=planned_units(plan),
            plays_directly=plan.plays_directly,
            encode_cost_s=encode_cost_s(plan),
            duration_s=plan.duration_s,
            notes=notes,
        )
    )
    return False


def planned_units(plan: Plan) -> list[PlannedUnit]:
    """Return the units of media and speech that the plan asks for."""
    units = [
        PlannedUnit(
            kind=UnitKind.VIDEO,
            index=unit.index,
            first_frame=unit.first_frame,
            end_frame=unit.end_frame,
            weight_frames=unit.end_frame - unit.first_frame,
        )
        for unit in plan.video_units
    ]
    # Without video, the audio is all the work of the job.
    audio_share = _AUDIO_WEIGHT if plan.video_units else 1
    units += [
        PlannedUnit(
            kind=UnitKind.AUDIO,
            index=part.index,
            first_frame=part.first_frame,
            end_frame=part.end_frame,
            weight_frames=part.end_frame // audio_share,
        )
        for part in plan.audio_units
    ]
    if plan.speech is not None:
        # By the time that it takes, next to that of the rest.
        rest_s = encode_cost_s(plan) - plan.speech.cost_s
        weight_frames = sum(unit.weight_frames for unit in units)
        share = plan.speech.cost_s / rest_s if rest_s else 1.0
        for index in range(len(plan.speech.starts)):
            first, end = plan.speech.part(index, frames=plan.frames)
            units.append(
                PlannedUnit(
                    kind=UnitKind.SPEECH,
                    index=index,
                    first_frame=first,
                    end_frame=end,
                    weight_frames=round(share * weight_frames * (end - first) / plan.frames),
                )
            )
    return units


def plan_for(source: SourceInfo, profile: Profile, *, transcribes: bool = False) -> Plan:
    """Return the plan, with units for as many containers as the work is enough for."""
    conf = bridge_settings()
    make = partial(make_plan, source, profile, threads=conf.threads_per_unit)
    make = partial(make, speech_cpu_s_per_s=conf.speech_cpu_s_per_s if transcribes else None)
    plan = make()
    helpers = wanted_helpers(Work(left_s=encode_cost_s(plan) / conf.threads_per_unit), conf.helper_rule)
    slots = (1 + helpers) * conf.helper_rule.slots
    return make(slots=slots) if helpers else plan


def _transcribes(claim: Claim, profile: Profile) -> bool:
    """Return whether the plan has speech: the profile asks for it, the file had none before, and this image can."""
    if not profile.automatic_captions or not claim.may_transcribe:
        return False
    problem = engine_problem(bridge_settings().speech)
    if problem is not None:
        logger.warning("SPEECH_FAILED", extra={"error_code": problem.code, "text": problem.text})
    return problem is None


def _profile(claim: Claim) -> Profile:
    """Return the job's profile, which no setting of this container changes.

    Raises ImproperlyConfigured if this image cannot encode it exactly as it is.
    """
    try:
        return profile_from_json(claim.profile_fields)
    except ProfileError as error:
        faults = "; ".join(f"{fault.text} [{fault.kind}]" for fault in error.faults)
        message = (
            f"This image cannot encode the job's profile {claim.profile!r}: {faults}."
            " It may be older than the site that requested the job: build the image from the same version."
        )
        raise ImproperlyConfigured(message) from error
