"""Reading back what was stored, object by object, before anybody sees it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...conf import bridge_settings
from ...services.container_api.claim import Lease
from ...transcode import (
    Publication,
    TranscodeError,
    UnitKey,
    undecodable_units,
    verify_playlists,
    verify_publication,
)
from ..context import ContainerContext
from ..files import read_object


def read_back(context: ContainerContext, lease: Lease, slot: int, publication: Publication) -> dict[UnitKey, str]:
    """The units with a bad object, each with the reason. The playlists are this lease's own: a bad one raises TranscodeError."""

    read_bytes = 0

    def read(url: str) -> Iterator[bytes]:
        nonlocal read_bytes
        for block in read_object(object_key(lease, url), stop=context.stop):
            context.raise_if_stopped()
            read_bytes += len(block)
            context.progress.reads(slot, read_bytes)
            yield block

    if bad_playlists := verify_playlists(publication.manifest, read):
        code = "PLAYLIST_DAMAGED"
        raise TranscodeError(code, f"A playlist was damaged in the storage: {bad_playlists[0].reason}.")
    bad = verify_publication(publication.manifest, read, progress=partial(context.progress.advance, slot))
    return {each.unit: each.reason for each in bad}


def decode(
    context: ContainerContext, lease: Lease, slot: int, folder: Path, publication: Publication
) -> dict[UnitKey, str]:
    """The units of which something cannot be decoded, each with the reason: a look at both ends of each track, or at all of it."""
    bad = undecodable_units(
        publication.manifest,
        lambda url: read_object(object_key(lease, url), stop=context.stop),
        folder,
        whole=bridge_settings().full_verify,
        stop=context.stop,
        progress=partial(context.progress.advance, slot),
    )
    return {each.unit: each.reason for each in bad}


def object_key(lease: Lease, url: str) -> str:
    """The storage key of an address that is relative to the folder of the playlists."""
    return posixpath.normpath(f"{lease.key_prefix}/{url}")
