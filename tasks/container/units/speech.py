"""The speech units: one part of the audio each, transcribed for automatic captions.

They never fail the job: what goes wrong becomes the unit's output, and the video is published without automatic
captions, with a warning.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from ...conf import bridge_settings
from ...services.container_api.claim import Lease
from ...services.container_api.finish import finish_unit
from ...services.container_api.publish import speech_fault
from ...transcode.speech.faults import INTERRUPTED, SpeechError
from ...transcode.speech.port import engine_problem
from ...transcode.speech.run import transcribe_part
from ..context import ContainerContext
from ..scratch.source import LocalSource
from .encode import with_source

logger = logging.getLogger(__name__)

_MOST_LEASES = 3
"""Leases of one part, after which it is given up: an engine that takes a machine's memory may end whole containers,
and a job has `max_attempts`, five by default."""


def run_speech(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    output = _transcribed(context, lease, slot, folder)
    if "fault" in output:
        fields = {"index": lease.index, "error_code": output["fault"], "text": output["text"]}
        logger.warning("SPEECH_FAILED", extra=fields)
    context.database(partial(finish_unit, context.claim, lease, output=output))
    return False


def _transcribed(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> dict[str, Any]:
    if lease.fence > _MOST_LEASES:
        return _fault(INTERRUPTED, f"{lease.fence - 1} containers ended while they worked on this part.")
    engine = bridge_settings().speech
    if problem := engine_problem(engine):
        return _fault(problem.code, problem.text)
    if fault := context.database(partial(speech_fault, context.claim.job_id)):
        return _fault(fault, "Another part has failed already.")
    plan = context.plan(lease)
    if plan.speech is None:
        return _fault("NO_SPEECH", "The plan has no speech to transcribe.")
    first, end = plan.speech.part(lease.index, frames=plan.frames)
    report = context.media_progress(slot, lease, round(1000 * float((end - first) / plan.rate)))

    def transcribe(source: LocalSource) -> dict[str, Any]:
        return transcribe_part(
            source.path,
            plan,
            lease.index,
            folder,
            engine=engine,
            stop=context.stop,
            reading=partial(context.progress.advance_read, slot),
            progress=report,
            present=source.present,
        )

    # An audio unit of the same track that ends later reads all that this one does.
    covering = (
        unit.index for unit in plan.audio_units if unit.track == plan.speech.track and unit.end_frame == plan.frames
    )
    reads = None if plan.reads is None else plan.reads.of_audio(next(covering))
    try:
        return with_source(context, slot, plan, reads, transcribe)
    except SpeechError as error:
        return _fault(error.code, error.message)


def _fault(code: str, text: str) -> dict[str, Any]:
    return {"fault": code, "text": text}
