"""The video and audio units: encode, store the files, finish the unit."""

from __future__ import annotations

import posixpath
from functools import partial
from pathlib import Path

from ...services.container_api.claim import Lease
from ...services.container_api.finish import finish_unit
from ...transcode import UnitOutput, encode_audio, encode_video
from ..context import ContainerContext
from ..files import store_file


def run_video(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    path, plan = context.source(slot), context.plan
    unit = plan.video_units[lease.index]
    context.progress.start_stage(slot, "encode")
    report = context.media_progress(slot, lease, unit.end_frame - unit.first_frame)
    # A mismatch at a unit boundary may come from wrong key frame flags in the source; then it must
    # be read from its start.
    output = encode_video(
        path,
        plan,
        lease.index,
        folder,
        progress=report,
        stop=context.stop,
        reading=partial(context.progress.advance_read, slot),
        from_beginning=lease.is_redo,
    )
    return _store_and_finish(context, lease, slot, folder, output)


def run_audio(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    path, plan = context.source(slot), context.plan
    context.progress.start_stage(slot, "encode")
    report = context.media_progress(slot, lease, round(plan.duration_s * 1000))
    reading = partial(context.progress.advance_read, slot)
    output = encode_audio(path, plan, folder, progress=report, stop=context.stop, reading=reading)
    return _store_and_finish(context, lease, slot, folder, output)


def _store_and_finish(context: ContainerContext, lease: Lease, slot: int, folder: Path, output: UnitOutput) -> bool:
    context.progress.start_stage(slot, "store")
    context.progress.advance(slot, 0, in_flight_frames=lease.weight_frames)
    for file in output.files:
        store_file(
            folder / file.name,
            f"{lease.key_prefix}/{file.name}",
            progress=partial(context.progress.advance, slot),
            stop=context.stop,
        )
    made = {"folder": posixpath.basename(lease.key_prefix), "media": output.to_json()}
    context.database(partial(finish_unit, context.claim, lease, output=made))
    return False
