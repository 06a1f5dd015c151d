"""The remux unit: the source's own streams as a preview, stored, verified and published as level 0. The job never fails for it."""

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
from .verification import read_back

logger = logging.getLogger(__name__)


def do_preview(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    """Publish a preview, or note why there is none. Always False: the job goes on. Raises StoppedError, or whatever the storage raises."""
    context.source(slot)
    try:
        preview = _make(context, lease, slot, folder)
        _store(context, lease, slot, folder, preview)
        _verify(context, lease, slot, preview)
    except TranscodeError as error:
        if error.code in STALE_PLAN:
            raise
        # A preview is a favour: the ladder comes in any case.
        logger.warning("PREVIEW_SKIPPED", extra={"error_code": error.code, "text": error.message})
        context.database(partial(finish_unit, context.claim, lease, output={"skipped": str(error)}))
        return False
    manifest = preview.manifest
    manifest_key = f"{lease.key_prefix}/{manifest['master']}"
    context.database(partial(publish_preview, context.claim, lease, manifest=manifest, manifest_key=manifest_key))
    return False


def _make(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> Publication:
    path, plan = context.source(slot), context.plan
    context.progress.enter(slot, "encode")
    report = context.media_progress(slot, lease, path.stat().st_size)
    output = remux(path, plan, folder, progress=report, stop=context.stop)
    return build_preview(plan, output, url_of=_name)


def _name(file: MediaFile) -> str:
    return file.name


def _verify(context: ContainerContext, lease: Lease, slot: int, preview: Publication) -> None:
    if bad := read_back(context, lease, slot, preview):
        code = "VERIFY_FAILED"
        raise TranscodeError(code, f"The preview was damaged in the storage: {'; '.join(bad.values())}.")


def _store(context: ContainerContext, lease: Lease, slot: int, folder: Path, preview: Publication) -> None:
    """Media first: whoever finds a playlist finds what it names."""
    context.progress.enter(slot, "store")
    for file in preview.files:
        (folder / file.name).write_bytes(file.content)
    names = [entry["url"] for entry in preview.manifest["objects"]] + [file.name for file in preview.files]
    for name in names:
        report = partial(context.progress.advance, slot)
        store_file(folder / name, f"{lease.key_prefix}/{name}", progress=report, stop=context.stop)
