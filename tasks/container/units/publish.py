"""The publish unit: write the playlists, verify everything that the manifest names, then publish, or send bad units back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ...lifecycle.states import UnitKind
from ...services.container_api.claim import Lease
from ...services.container_api.publish import FinishedUnit, finished_units, publish, redo_units
from ...transcode import (
    AUDIO_UNIT,
    InconsistentOutputError,
    MediaFile,
    Publication,
    TranscodeError,
    UnitKey,
    UnitOutput,
    build_publication,
)
from ..context import ContainerContext
from ..files import store_file
from .verification import decode, object_key, read_back

logger = logging.getLogger(__name__)

_VERIFY_FAILED = "VERIFY_FAILED"
_MAX_REDOS = 3
"""So often is a unit done again for a failed verify; after that the attempt fails, and counts."""


def do_publish(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    """True where the job was published; False where units were sent back. Raises TranscodeError after too many repairs."""
    context.progress.enter(slot, "publish")
    made = {_key(unit): unit for unit in context.database(partial(finished_units, context.claim.job_id))}
    bad: Mapping[UnitKey, str]
    try:
        publication = _build(context, made)
    except InconsistentOutputError as error:
        bad = dict.fromkeys(error.units, f"{error.code}: {error.message}")
    else:
        _store(context, lease, slot, folder, publication)
        bad = read_back(context, lease, slot, publication) or decode(context, lease, slot, folder, publication)
    if bad:
        _redo_units(context, lease, made, bad)
        return False
    manifest = publication.manifest
    context.database(
        partial(
            publish,
            context.claim,
            lease,
            manifest=manifest,
            manifest_key=f"{lease.key_prefix}/{manifest['master']}",
            poster_key=object_key(lease, manifest["poster"]),
        )
    )
    return True


def _key(unit: FinishedUnit) -> UnitKey:
    return unit.index if unit.kind is UnitKind.VIDEO else AUDIO_UNIT


def _build(context: ContainerContext, made: Mapping[UnitKey, FinishedUnit]) -> Publication:
    outputs = {key: UnitOutput.from_json(unit.output["media"]) for key, unit in made.items()}

    def url_of(key: UnitKey, file: MediaFile) -> str:
        return f"../{made[key].output['folder']}/{file.name}"

    return build_publication(context.plan, outputs, url_of=url_of)


def _store(context: ContainerContext, lease: Lease, slot: int, folder: Path, publication: Publication) -> None:
    for file in publication.files:
        local = folder / file.name
        local.write_bytes(file.content)
        report = partial(context.progress.advance, slot)
        store_file(local, f"{lease.key_prefix}/{file.name}", progress=report, stop=context.stop)


def _redo_units(
    context: ContainerContext, lease: Lease, made: Mapping[UnitKey, FinishedUnit], bad: Mapping[UnitKey, str]
) -> None:
    logger.warning("VERIFY_FAILED", extra={"bad_units": {str(key): reason for key, reason in bad.items()}})
    if worn_out := [key for key in bad if made[key].redo_count >= _MAX_REDOS]:
        key = worn_out[0]
        message = f"Unit {key} is bad though it was repaired {made[key].redo_count} times: {bad[key]}."
        raise TranscodeError(_VERIFY_FAILED, message)
    named = [(made[key], reason) for key, reason in bad.items()]
    context.database(partial(redo_units, context.claim, lease, bad=named))
