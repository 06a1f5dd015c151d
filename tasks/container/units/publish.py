"""The publish unit: write the playlists, verify everything that the manifest names, then publish or redo bad units."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...lifecycle.states import UnitKind
from ...services.container_api.claim import Lease
from ...services.container_api.publish import (
    FinishedUnit,
    OwnEdition,
    begin_own_edition,
    finished_speech,
    finished_units,
    publish,
    redo_units,
)
from ...transcode import (
    InconsistentOutputError,
    MediaFile,
    Plan,
    Publication,
    TranscodeError,
    UnitKey,
    UnitOutput,
    audio_unit,
    build_publication,
    describe_warning,
    make_edition,
    split_warning,
)
from ...transcode.plan.speech import has_captions
from ...transcode.speech.text import captions_of, fault_warning
from ..context import ContainerContext
from ..files import store_file
from .verification import object_key, verify_objects, verify_texts

logger = logging.getLogger(__name__)

_VERIFY_FAILED = "VERIFY_FAILED"
_MAX_REDOS = 3
"""Maximum number of redos of a unit after failed verification; then the attempt fails, and counts."""


def run_publish(context: ContainerContext, lease: Lease, slot: int, folder: Path) -> bool:
    """Return True if the job was published, False if units must be redone.

    Raises TranscodeError after too many redos.
    """
    context.progress.start_stage(slot, "publish")
    made = {_key(unit): unit for unit in context.database(partial(finished_units, context.claim.job_id))}
    bad: Mapping[UnitKey, str]
    try:
        plan = context.plan(lease)
        publication = _build(plan, made)
    except InconsistentOutputError as error:
        bad = dict.fromkeys(error.units, f"{error.code}: {error.message}")
    else:
        _store(context, lease.key_prefix, slot, folder, publication)
        bad = verify_objects(context, lease, slot, folder, publication)
    if bad:
        _redo_units(context, lease, made, bad)
        return False
    manifest = publication.manifest
    transcript, warnings = _transcript(context, plan)
    edition = _edition(context, lease, slot, folder, publication)
    context.database(
        partial(
            publish,
            context.claim,
            lease,
            playlist_key=f"{lease.key_prefix}/{manifest['master']}",
            poster_key=object_key(lease, manifest["poster"]),
            duration_s=manifest["duration_s"],
            warnings=[_warning(each) for each in (*plan.warnings, *warnings)],
            chapters=manifest["chapters"],
            transcript=transcript,
            edition=edition,
        )
    )
    return True


def _transcript(context: ContainerContext, plan: Plan) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the automatic captions, if the plan has any and nothing failed, and warnings."""
    parts = context.database(partial(finished_speech, context.claim.job_id)) if plan.speech is not None else []
    if faults := [part["fault"] for part in parts if "fault" in part]:
        return None, [fault_warning(faults[0])]
    made = captions_of(parts, end_ms=int(plan.duration_s * 1000))
    # Which language is spoken may only be known now.
    if made is None or has_captions(plan.captions, made.language):
        return None, []
    return {"language": made.language, "webvtt": made.webvtt}, []


def _warning(warning: str) -> dict[str, str]:
    """Return a warning as in the manifest, with the detail for messages in other languages."""
    detail = split_warning(warning)[1]
    return describe_warning(warning) | ({"detail": detail} if detail else {})


def _key(unit: FinishedUnit) -> UnitKey:
    return unit.index if unit.kind is UnitKind.VIDEO else audio_unit(unit.index)


def _build(plan: Plan, made: Mapping[UnitKey, FinishedUnit]) -> Publication:
    outputs = {key: UnitOutput.from_json(unit.output["media"]) for key, unit in made.items()}

    def url_of(key: UnitKey, file: MediaFile) -> str:
        return f"../{made[key].output['folder']}/{file.name}"

    return build_publication(plan, outputs, url_of=url_of)


def _edition(
    context: ContainerContext, lease: Lease, slot: int, folder: Path, publication: Publication
) -> OwnEdition | None:
    """Store an edition with the captions and chapters that people added, if there are any, and read it back.

    None if it cannot be made: the site tries that again after the publication.
    """
    begun = context.database(partial(begin_own_edition, context.claim, lease))
    if begun is None or not begun.folder:
        return begun
    texts = {file.name: file.content for file in publication.files}
    try:
        edition = make_edition(publication.manifest, texts.__getitem__, begun.edits)
        _store(context, begun.folder, slot, folder, edition)
        verify_texts(context, begun.folder, edition)
    except TranscodeError as error:
        logger.warning("EDITION_FAILED", extra={"error_code": error.code, "text": str(error)})
        return None
    return begun


def _store(context: ContainerContext, key_prefix: str, slot: int, folder: Path, publication: Publication) -> None:
    for file in publication.files:
        local = folder / file.name
        local.write_bytes(file.content)
        report = partial(context.progress.advance, slot)
        store_file(local, f"{key_prefix}/{file.name}", progress=report, stop=context.stop)


def _redo_units(
    context: ContainerContext, lease: Lease, made: Mapping[UnitKey, FinishedUnit], bad: Mapping[UnitKey, str]
) -> None:
    if lost := set(bad) - set(made):
        message = f"The units {sorted(map(str, lost))} have no output, although all media units are DONE."
        raise TranscodeError(_VERIFY_FAILED, message)
    logger.warning("VERIFY_FAILED", extra={"bad_units": {str(key): reason for key, reason in bad.items()}})
    if exhausted := [key for key in bad if made[key].redo_count >= _MAX_REDOS]:
        key = exhausted[0]
        message = f"Unit {key} failed verification after {made[key].redo_count} redos: {bad[key]}."
        raise TranscodeError(_VERIFY_FAILED, message)
    named = [(made[key], reason) for key, reason in bad.items()]
    context.database(partial(redo_units, context.claim, lease, bad=named))
