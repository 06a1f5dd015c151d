"""Verification of the stored objects before viewers can see them.

See tasks/transcode/verify/__init__.py for the whole story of verification.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ...conf import bridge_settings
from ...services.container_api.claim import Lease
from ...transcode import (
    Publication,
    TranscodeError,
    UnitKey,
    verify_media,
    verify_playlists,
)
from ..context import ContainerContext
from ..files import read_object


def verify_objects(
    context: ContainerContext, lease: Lease, slot: int, folder: Path, publication: Publication
) -> dict[UnitKey, str]:
    """Read each stored object back once; return the bad units, each with the reason.

    All objects are compared with the manifest, and the first and the last segment of each track is
    decoded, or everything with the setting `full_verify`. Raises TranscodeError if a playlist is bad:
    playlists belong to this lease, so there is no other unit to redo.
    """

    read_bytes = 0
    counting = threading.Lock()

    def read(url: str) -> Iterator[bytes]:
        nonlocal read_bytes
        for block in read_object(object_key(lease, url), stop=context.stop):
            context.raise_if_stopped()
            with counting:
                read_bytes += len(block)
                context.progress.advance_read(slot, read_bytes)
            yield block

    _require_playlists(publication, read)
    bad = verify_media(
        publication.manifest,
        read,
        folder,
        whole=bridge_settings().full_verify,
        stop=context.stop,
        progress=partial(context.progress.advance, slot),
        connections=bridge_settings().fetch_connections,
    )
    return {each.unit: each.reason for each in bad}


def verify_texts(context: ContainerContext, key_prefix: str, publication: Publication) -> None:
    """Read the playlists, captions and chapters in this folder back. Raises TranscodeError if one is bad."""

    def read(name: str) -> Iterator[bytes]:
        return read_object(f"{key_prefix}/{name}", stop=context.stop)

    _require_playlists(publication, read)


def _require_playlists(publication: Publication, read: Callable[[str], Iterator[bytes]]) -> None:
    if bad := verify_playlists(publication.manifest, read):
        code = "PLAYLIST_DAMAGED"
        raise TranscodeError(code, f"A playlist was damaged in the storage: {bad[0].reason}.")


def object_key(lease: Lease, url: str) -> str:
    """Return the storage key of a URL that is relative to the folder of the playlists."""
    return posixpath.normpath(f"{lease.key_prefix}/{url}")
