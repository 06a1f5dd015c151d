"""The publish unit: write the playlists, verify everything that the manifest names, then publish, or send bad units back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tasks.container.files import store_file
from tasks.container.reading_back import decode, object_key, read_back
from tasks.container.workshop import Workshop
from tasks.lifecycle.states import UnitKind
from tasks.services.claim import Lease
from tasks.services.publish import MadeUnit, made_units, publish, send_back
from tasks.transcode import (
    AUDIO_UNIT,
    InconsistentOutput,
    MediaFile,
    Publication,
    TranscodeError,
    UnitKey,
    UnitOutput,
    build_publication,
)

logger = logging.getLogger(__name__)

_VERIFY_FAILED = "VERIFY_FAILED"
_REPAIRS = 3
"""So often is a unit done again for a failed verify; after that the attempt fails, and counts."""


def do_publish(shop: Workshop, lease: Lease, slot: int, folder: Path) -> bool:
    """True where the job was published; False where units were sent back. Raises TranscodeError after too many repairs."""
    shop.progress.enter(slot, "publish")
    made = {_key(unit): unit for unit in shop.database(partial(made_units, shop.claim.job_id))}
    bad: Mapping[UnitKey, str]
    try:
        publication = _build(shop, made)
    except InconsistentOutput as error:
        bad = dict.fromkeys(error.units, f"{error.code}: {error.sentence}")
    else:
        _store(shop, lease, slot, folder, publication)
        bad = read_back(shop, lease, slot, publication) or decode(shop, lease, slot, folder, publication)
    if bad:
        _send_back(shop, lease, made, bad)
        return False
    manifest = publication.manifest
    shop.database(
        partial(
            publish,
            shop.claim,
            lease,
            manifest=manifest,
            manifest_key=f"{lease.key_prefix}/{manifest['master']}",
            poster_key=object_key(lease, manifest["poster"]),
        )
    )
    return True


def _key(unit: MadeUnit) -> UnitKey:
    return unit.index if unit.kind is UnitKind.VIDEO else AUDIO_UNIT


def _build(shop: Workshop, made: Mapping[UnitKey, MadeUnit]) -> Publication:
    outputs = {key: UnitOutput.from_json(unit.output["media"]) for key, unit in made.items()}

    def url_of(key: UnitKey, file: MediaFile) -> str:
        return f"../{made[key].output['folder']}/{file.name}"

    return build_publication(shop.plan, outputs, url_of=url_of)


def _store(shop: Workshop, lease: Lease, slot: int, folder: Path, publication: Publication) -> None:
    for file in publication.files:
        local = folder / file.name
        local.write_bytes(file.content)
        report = partial(shop.progress.advance, slot)
        store_file(local, f"{lease.key_prefix}/{file.name}", progress=report, stop=shop.stop)


def _send_back(shop: Workshop, lease: Lease, made: Mapping[UnitKey, MadeUnit], bad: Mapping[UnitKey, str]) -> None:
    logger.warning("VERIFY_FAILED", extra={"bad_units": {str(key): reason for key, reason in bad.items()}})
    if worn_out := [key for key in bad if made[key].repairs >= _REPAIRS]:
        key = worn_out[0]
        sentence = f"Unit {key} is bad though it was repaired {made[key].repairs} times: {bad[key]}."
        raise TranscodeError(_VERIFY_FAILED, sentence)
    named = [(made[key], reason) for key, reason in bad.items()]
    shop.database(partial(send_back, shop.claim, lease, bad=named))
