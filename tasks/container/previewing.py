"""The remux unit: the source's own streams as a preview, stored, verified and published as level 0. The job never fails for it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from tasks.container.files import store_file
from tasks.container.reading_back import read_back
from tasks.container.workshop import STALE_PLAN, Workshop
from tasks.services.claim import Lease
from tasks.services.finish import finish_unit
from tasks.services.preview import publish_preview
from tasks.transcode import MediaFile, Publication, TranscodeError, build_preview, remux

logger = logging.getLogger(__name__)


def do_preview(shop: Workshop, lease: Lease, slot: int, folder: Path) -> bool:
    """Publish a preview, or note why there is none. Always False: the job goes on. Raises Stopped, or whatever the storage raises."""
    shop.source(slot)
    try:
        preview = _make(shop, lease, slot, folder)
        _store(shop, lease, slot, folder, preview)
        _verify(shop, lease, slot, preview)
    except TranscodeError as error:
        if error.code in STALE_PLAN:
            raise
        # A preview is a favour: the ladder comes in any case.
        logger.warning("PREVIEW_SKIPPED", extra={"error_code": error.code, "sentence": error.sentence})
        shop.database(partial(finish_unit, shop.claim, lease, output={"skipped": str(error)}))
        return False
    manifest = preview.manifest
    manifest_key = f"{lease.key_prefix}/{manifest['master']}"
    shop.database(partial(publish_preview, shop.claim, lease, manifest=manifest, manifest_key=manifest_key))
    return False


def _make(shop: Workshop, lease: Lease, slot: int, folder: Path) -> Publication:
    path, plan = shop.source(slot), shop.plan
    shop.progress.enter(slot, "encode")
    report = shop.media_progress(slot, lease, path.stat().st_size)
    output = remux(path, plan, folder, progress=report, stop=shop.stop)
    return build_preview(plan, output, url_of=_name)


def _name(file: MediaFile) -> str:
    return file.name


def _verify(shop: Workshop, lease: Lease, slot: int, preview: Publication) -> None:
    if bad := read_back(shop, lease, slot, preview):
        code = "VERIFY_FAILED"
        raise TranscodeError(code, f"The preview was damaged in the storage: {'; '.join(bad.values())}.")


def _store(shop: Workshop, lease: Lease, slot: int, folder: Path, preview: Publication) -> None:
    """Media first: whoever finds a playlist finds what it names."""
    shop.progress.enter(slot, "store")
    for file in preview.files:
        (folder / file.name).write_bytes(file.content)
    names = [entry["url"] for entry in preview.manifest["objects"]] + [file.name for file in preview.files]
    for name in names:
        report = partial(shop.progress.advance, slot)
        store_file(folder / name, f"{lease.key_prefix}/{name}", progress=report, stop=shop.stop)
