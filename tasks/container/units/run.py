"""Doing one leased unit: plan, remux, video, audio or publish. Media work first, without the database; then one call that finishes it."""

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
from .encode import do_audio, do_video
from .plan import do_plan
from .preview import do_preview
from .publish import do_publish


def do_unit(context: ContainerContext, lease: Lease, slot: int) -> bool:
    """Do the unit and finish it. True where that published the job.

    Raises TranscodeError, StoppedError, FencedError or AttemptCancelledError, or whatever the storage raises.
    """
    folder = context.folder / f"{lease.kind}-{lease.index}-{lease.fence}"
    folder.mkdir()
    try:
        return _WORK[lease.kind](context, lease, slot, folder)
    except TranscodeError as error:
        if error.code not in STALE_PLAN:
            raise
        context.database(partial(replan, context.claim, lease, why=error.message))
        context.forget_plan()
        return False
    finally:
        remove_local(folder)


_WORK: dict[UnitKind, Callable[[ContainerContext, Lease, int, Path], bool]] = {
    UnitKind.PLAN: do_plan,
    UnitKind.PREVIEW: do_preview,
    UnitKind.VIDEO: do_video,
    UnitKind.AUDIO: do_audio,
    UnitKind.PUBLISH: do_publish,
}
