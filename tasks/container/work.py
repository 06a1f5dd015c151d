"""Doing one leased unit: plan, remux, video, audio or publish. Media work first, without the database; then one call that finishes it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from tasks.conf import bridge_settings
from tasks.container.files import remove_local, store_file
from tasks.container.previewing import do_preview
from tasks.container.publishing import do_publish
from tasks.container.workshop import STALE_PLAN, Workshop
from tasks.lifecycle.states import UnitKind
from tasks.services.claim import Lease
from tasks.services.finish import PlannedUnit, finish_plan, finish_unit, plan_again
from tasks.transcode import (
    PROFILES,
    SOURCE_WARNINGS,
    TranscodeError,
    UnitOutput,
    encode_audio,
    encode_video,
    make_plan,
    probe_source,
)

_AUDIO_WEIGHT = 20
"""Encoding the audio costs about a twentieth of encoding the pictures (measured: 0.04 of 0.9 CPU seconds a second)."""


def do_unit(shop: Workshop, lease: Lease, slot: int) -> bool:
    """Do the unit and finish it. True where that published the job.

    Raises TranscodeError, Stopped, FencedError or AttemptCancelledError, or whatever the storage raises.
    """
    folder = shop.folder / f"{lease.kind}-{lease.index}-{lease.fence}"
    folder.mkdir()
    try:
        return _WORK[lease.kind](shop, lease, slot, folder)
    except TranscodeError as error:
        if error.code not in STALE_PLAN:
            raise
        shop.database(partial(plan_again, shop.claim, lease, why=error.sentence))
        shop.forget_plan()
        return False
    finally:
        remove_local(folder)


def _do_plan(shop: Workshop, lease: Lease, slot: int, _: Path) -> bool:
    path = shop.source(slot)
    shop.progress.enter(slot, "plan")
    profile = PROFILES.get(shop.claim.profile)
    if profile is None:
        message = f"This container knows no profile {shop.claim.profile!r}, only {', '.join(PROFILES)}: is its image older than the job?"
        raise ImproperlyConfigured(message)
    source = probe_source(path, stop=shop.stop, reading=partial(shop.progress.reads, slot))
    plan = make_plan(source, profile, threads=bridge_settings().threads_per_unit)
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
    if plan.remux:
        units.append(PlannedUnit(kind=UnitKind.REMUX, index=0, first_frame=0, end_frame=plan.frames, weight_frames=0))
    if plan.has_audio:
        # Alone, the sound is all the work there is.
        weight = plan.frames // _AUDIO_WEIGHT if plan.video_units else plan.frames
        units.append(
            PlannedUnit(kind=UnitKind.AUDIO, index=0, first_frame=0, end_frame=plan.frames, weight_frames=weight)
        )
    notes = [SOURCE_WARNINGS[code] for code in plan.warnings]
    shop.database(partial(finish_plan, shop.claim, lease, plan=plan.to_json(), units=units, notes=notes))
    return False


def _do_video(shop: Workshop, lease: Lease, slot: int, folder: Path) -> bool:
    path, plan = shop.source(slot), shop.plan
    unit = plan.video_units[lease.index]
    shop.progress.enter(slot, "encode")
    report = shop.media_progress(slot, lease, unit.end_frame - unit.first_frame)
    # A seam that did not fit may mean that the source lies about its key frames: then only reading it whole helps.
    output = encode_video(
        path,
        plan,
        lease.index,
        folder,
        progress=report,
        stop=shop.stop,
        reading=partial(shop.progress.reads, slot),
        from_beginning=lease.sent_back,
    )
    return _store_and_finish(shop, lease, slot, folder, output)


def _do_audio(shop: Workshop, lease: Lease, slot: int, folder: Path) -> bool:
    path, plan = shop.source(slot), shop.plan
    shop.progress.enter(slot, "encode")
    report = shop.media_progress(slot, lease, round(plan.duration_s * 1000))
    output = encode_audio(path, plan, folder, progress=report, stop=shop.stop)
    return _store_and_finish(shop, lease, slot, folder, output)


def _store_and_finish(shop: Workshop, lease: Lease, slot: int, folder: Path, output: UnitOutput) -> bool:
    shop.progress.enter(slot, "store")
    shop.progress.advance(slot, 0, in_flight_frames=lease.weight_frames)
    for file in output.files:
        store_file(
            folder / file.name,
            f"{lease.key_prefix}/{file.name}",
            progress=partial(shop.progress.advance, slot),
            stop=shop.stop,
        )
    made = {"folder": posixpath.basename(lease.key_prefix), "media": output.to_json()}
    shop.database(partial(finish_unit, shop.claim, lease, output=made))
    return False


_WORK: dict[UnitKind, Callable[[Workshop, Lease, int, Path], bool]] = {
    UnitKind.PLAN: _do_plan,
    UnitKind.REMUX: do_preview,
    UnitKind.VIDEO: _do_video,
    UnitKind.AUDIO: _do_audio,
    UnitKind.PUBLISH: do_publish,
}
