"""Reading back what was stored, object by object, before anybody sees it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.conf import bridge_settings
from tasks.container.files import read_object
from tasks.container.workshop import Workshop
from tasks.services.claim import Lease
from tasks.transcode import (
    Publication,
    TranscodeError,
    UnitKey,
    undecodable_units,
    verify_playlists,
    verify_publication,
)


def read_back(shop: Workshop, lease: Lease, slot: int, publication: Publication) -> dict[UnitKey, str]:
    """The units with a bad object, each with the reason. The playlists are this lease's own: a bad one raises TranscodeError."""

    read_bytes = 0

    def read(url: str) -> Iterator[bytes]:
        nonlocal read_bytes
        for block in read_object(object_key(lease, url), stop=shop.stop):
            shop.raise_if_stopped()
            read_bytes += len(block)
            shop.progress.reads(slot, read_bytes)
            yield block

    if bad_playlists := verify_playlists(publication.manifest, read):
        code = "PLAYLIST_DAMAGED"
        raise TranscodeError(code, f"A playlist was damaged in the storage: {bad_playlists[0].reason}.")
    bad = verify_publication(publication.manifest, read, progress=partial(shop.progress.advance, slot))
    return {each.unit: each.reason for each in bad}


def decode(shop: Workshop, lease: Lease, slot: int, folder: Path, publication: Publication) -> dict[UnitKey, str]:
    """The units of which something cannot be decoded, each with the reason: a look at both ends of each track, or at all of it."""
    bad = undecodable_units(
        publication.manifest,
        lambda url: read_object(object_key(lease, url), stop=shop.stop),
        folder,
        whole=bridge_settings().full_verify,
        stop=shop.stop,
        progress=partial(shop.progress.advance, slot),
    )
    return {each.unit: each.reason for each in bad}


def object_key(lease: Lease, url: str) -> str:
    """The storage key of an address that is relative to the folder of the playlists."""
    return posixpath.normpath(f"{lease.key_prefix}/{url}")
