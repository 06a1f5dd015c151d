"""The preview unit, and what a preview is: an early publication of the source's own streams.

Viewers can watch it while the ladder is still being encoded. Nothing is re-encoded, so it takes
seconds. The plan allows a preview if every player can play the source as it is (`can_preview` in
transcode/plan/preview_rule.py): 8-bit H.264 in MP4, MOV or Matroska, upright, not interlaced,
square pixels, at most 1920x1088, closed GOPs of up to 6 s, at most 10 Mb/s, and either no audio or
AAC with up to two channels. Its unit is created only if the video shows nothing yet, because a
preview never replaces anything. It is leased first, and no other unit waits for it.

`remux` (transcode/encode/remux.py) copies video and audio into a fragmented MP4 file each.
`build_preview` (transcode/package/preview.py) adds HLS playlists and a manifest of level 0, without
DASH, poster or thumbnails. This module stores the media files, then the playlists, and reads all of
them back to compare them with the manifest; it does not decode them. `publish_preview`
(services/container_api/preview.py) finishes the unit and writes the manifest to the job in one
fenced transaction. It also points the video at the job, unless the video was deleted or shows
something by then.

The video page (views/pages.py) plays it, with a note about its single size; the video's status
ignores it. The ladder replaces it when the same job is published. `prune_jobs`
(services/ticks/purge.py) removes its objects `superseded_retention_s` after the job succeeded. If
the job ends otherwise, they stay until that time after a newer publication replaced the preview.

The job never fails because of a preview: a TranscodeError is logged as PREVIEW_SKIPPED, and the
unit is finished with the reason. Only a plan of another engine version is raised, so that the job
is planned again. An error of the storage ends the attempt, as in any unit.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from ...services.container_api.claim import Lease
from ...services.container_api.finish import finish_unit
from ...services.container_api.preview import publish_preview
from ...transcode import MediaFile, Publication, TranscodeError, build_preview, remux
from ..context import STALE_PLAN, ContainerContext
from ..files import store_file
from .verification import verify_objects

logger = logging.getLogger(__name__)


def run_preview(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    """Publish a preview, or record why there is none. Return False, since the job is not done.

    Raises StoppedError, TranscodeError if the plan is stale, or any error of the storage.
    """
    context.source(slot)
    try:
        preview = _make(context, lease, slot, folder)
        _store(context, lease, slot, folder, preview)
        _verify(context, lease, slot, preview)
    except TranscodeError as error:
        if error.code in STALE_PLAN:
            raise
        # A preview is optional: the ladder follows in any case.
        logger.warning("PREVIEW_SKIPPED", extra={"error_code": error.code, "text": error.message})
        context.database(partial(finish_unit, context.claim, lease, output={"skipped": str(error)}))
        return False
    manifest = preview.manifest
    playlist_key = f"{lease.key_prefix}/{manifest['master']}"
    context.database(partial(publish_preview, context.claim, lease, manifest=manifest, playlist_key=playlist_key))
    return False


def _make(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> Publication:
    path, plan = context.source(slot), context.plan
    context.progress.start_stage(slot, "encode")
    report = context.media_progress(slot, lease, path.stat().st_size)
    output = remux(path, plan, folder, progress=report, stop=context.stop)
    return build_preview(plan, output, url_of=_name)


def _name(file: MediaFile) -> str:
    return file.name


def _verify(context: ContainerContext, lease: Lease, slot: int, preview: Publication) -> None:
    if bad := verify_objects(context, lease, slot, preview):
        code = "VERIFY_FAILED"
        raise TranscodeError(code, f"The preview was damaged in the storage: {'; '.join(bad.values())}.")


def _store(context: ContainerContext, lease: Lease, slot: int, folder: Path, preview: Publication) -> None:
    """Store the media files before the playlists, so that every file that a stored playlist names exists."""
    context.progress.start_stage(slot, "store")
    for file in preview.files:
        (folder / file.name).write_bytes(file.content)
    names = [entry["url"] for entry in preview.manifest["objects"]] + [file.name for file in preview.files]
    for name in names:
        report = partial(context.progress.advance, slot)
        store_file(folder / name, f"{lease.key_prefix}/{name}", progress=report, stop=context.stop)
