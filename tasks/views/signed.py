"""Playlists of a private bucket: the same text, with an address that works for a while in place of each object's name.

Playlists name other playlists too; those stay as they are, so that they come here as well. A playlist holds thousands of segments of
few files, and equal files get equal addresses, so it is compressed to little.
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Signer = Callable[[str], str]

SIGNED_SUFFIXES = frozenset({".m3u8", ".mpd", ".vtt"})
"""What names other objects, or is small. Everything else is fetched from the bucket itself."""

_THUMBNAILS = "thumbnails.vtt"
"""The one text beside playlists that names objects."""

_HLS_ATTRIBUTE = re.compile(r'(?<=URI=")[^"]+')
_DASH_ATTRIBUTE = re.compile(r'((?<=sourceURL=")|(?<=media="))[^"]+')
_DASH_BASE = re.compile(r"(?<=<BaseURL>)[^<]+")
_VTT_TILE = re.compile(r"^[^\s#]+\.jpg(?=#xywh=)", re.MULTILINE)


def sign(text: str, *, key: str, url_of: Signer) -> str:
    """Return the text of the object `key` with `url_of` what each name in it stands for. A name outside its job's folder stays as it is."""
    # published/<video>/<job>/
    folder = "/".join([*key.split("/")[:3], ""])

    @cache
    def signed(name: str) -> str:
        named = posixpath.normpath(posixpath.join(posixpath.dirname(key), name))
        if posixpath.splitext(name)[1] in SIGNED_SUFFIXES or not named.startswith(folder):
            return name
        return url_of(named)

    match posixpath.splitext(key)[1]:
        case ".m3u8":
            lines = [_signed_hls_line(line, signed) for line in text.split("\n")]
            return "\n".join(lines)
        case ".mpd":
            for pattern in (_DASH_ATTRIBUTE, _DASH_BASE):
                text = pattern.sub(lambda found: signed(found[0]).replace("&", "&amp;"), text)
            return text
        case _ if posixpath.basename(key) != _THUMBNAILS:
            # Captions: what a person wrote.
            return text
        case _:
            return _VTT_TILE.sub(lambda found: signed(found[0]), text)


def _signed_hls_line(line: str, signed: Signer) -> str:
    if line.startswith("#"):
        return _HLS_ATTRIBUTE.sub(lambda found: signed(found[0]), line)
    return signed(line) if line else line
