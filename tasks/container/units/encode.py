"""The video and audio units: encode, store the files, finish the unit."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from ...services.container_api.claim import Lease
from ...services.container_api.finish import finish_unit
from ...transcode import (
    HOLE_READ,
    READS_UNWATCHED,
    ByteRanges,
    EncodeError,
    Plan,
    UnitOutput,
    can_guard_reads,
    encode_audio,
    encode_video,
)
from ..context import ContainerContext
from ..files import store_file
from ..scratch.source import LocalSource

logger = logging.getLogger(__name__)

Output = TypeVar("Output")


def run_video(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    plan = context.plan(lease)
    unit = plan.video_units[lease.index]
    report = context.media_progress(slot, lease, unit.end_frame - unit.first_frame)

    def encode(source: LocalSource) -> UnitOutput:
        # A mismatch at a unit boundary may come from wrong key frame flags in the source; then it
        # must be read from its start.
        return encode_video(
            source.path,
            plan,
            lease.index,
            folder,
            progress=report,
            stop=context.stop,
            reading=partial(context.progress.advance_read, slot),
            from_beginning=lease.is_redo,
            present=source.present,
        )

    reads = None if plan.reads is None or lease.is_redo else plan.reads.of_video(lease.index)
    return _store_and_finish(context, lease, slot, folder, with_source(context, slot, plan, reads, encode))


def run_audio(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    plan = context.plan(lease)
    report = context.media_progress(slot, lease, round(plan.audio_end_s(lease.index) * 1000))

    def encode(source: LocalSource) -> UnitOutput:
        return encode_audio(
            source.path,
            plan,
            lease.index,
            folder,
            progress=report,
            stop=context.stop,
            reading=partial(context.progress.advance_read, slot),
            present=source.present,
        )

    reads = None if plan.reads is None or lease.is_redo else plan.reads.of_audio(lease.index)
    return _store_and_finish(context, lease, slot, folder, with_source(context, slot, plan, reads, encode))


def with_source(
    context: ContainerContext,
    slot: int,
    plan: Plan,
    reads: ByteRanges | None,
    encode: Callable[[LocalSource], Output],
) -> Output:
    """Fetch what the unit reads and encode it; if it needs another byte, fetch the whole source and encode it again."""
    size_bytes = plan.reads.size_bytes if plan.reads else None
    source = context.source(slot, reads if can_guard_reads() else None, size_bytes=size_bytes)
    context.progress.start_stage(slot, "encode")
    try:
        return encode(source)
    except EncodeError as error:
        if error.code not in (HOLE_READ, READS_UNWATCHED):
            raise
        logger.warning("SOURCE_HOLE", extra={"code": error.code, "text": error.message})
    source = context.source(slot)
    context.progress.start_stage(slot, "encode")
    return encode(source)


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
