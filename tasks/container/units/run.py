"""Runs one leased unit: plan, video, audio, speech or publish.

The media work comes first, without the database; then one call finishes the unit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...lifecycle.states import UnitKind
from ...services.container_api.claim import Lease
from ...services.container_api.finish import replan
from ...transcode import TranscodeError
from ..context import STALE_PLAN, ContainerContext
from ..files import remove_local
from .encode import run_audio, run_video
from .plan import run_plan
from .publish import run_publish
from .speech import run_speech


def run_unit(context: ContainerContext, lease: Lease, slot: int) -> bool:
    """Run the unit and finish it. Return True if that published the job.

    Raises TranscodeError, StoppedError, FencedError, AttemptCancelledError or any error of the
    storage.
    """
    folder = context.folder / f"{lease.kind}-{lease.index}-{lease.fence}"
    folder.mkdir()
    try:
        return _WORK[lease.kind](context, lease, slot, folder)
    except TranscodeError as error:
        if error.code not in STALE_PLAN:
            raise
        if not context.database(partial(replan, context.claim, lease, why=error.message)):
            raise
        return False
    finally:
        remove_local(folder)


_WORK: dict[UnitKind, Callable[[ContainerContext, Lease, int, Path], bool]] = {
    UnitKind.PLAN: run_plan,
    UnitKind.VIDEO: run_video,
    UnitKind.AUDIO: run_audio,
    UnitKind.SPEECH: run_speech,
    UnitKind.PUBLISH: run_publish,
}
