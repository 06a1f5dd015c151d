"""Playlists of a private bucket, with object names replaced by presigned URLs.

Names of other playlists and of WebVTT files stay as they are, so that those are requested from this site too. A
playlist has thousands of segments but few files, and equal files get equal URLs, so it compresses well.
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Signer = Callable[[str], str]

_PLAYLIST_SUFFIXES = frozenset({".m3u8", ".mpd"})
SITE_SUFFIXES = _PLAYLIST_SUFFIXES | {".vtt"}
"""Names of these files stay as they are: this site serves them, or redirects to the bucket (captions)."""

_THUMBNAILS = "thumbnails.vtt"
"""The only WebVTT file that contains names of objects. Captions are text written by people."""

_HLS_ATTRIBUTE = re.compile(r'(?<=URI=")[^"]+')
_DASH_ATTRIBUTE = re.compile(r'((?<=sourceURL=")|(?<=media="))[^"]+')
_DASH_BASE = re.compile(r"(?<=<BaseURL>)[^<]+")
_VTT_TILE = re.compile(r"^[^\s#]+\.jpg(?=#xywh=)", re.MULTILINE)


def contains_names(key: str) -> bool:
    """Return whether an object contains names of other objects. All others are served by the bucket itself."""
    return posixpath.splitext(key)[1] in _PLAYLIST_SUFFIXES or posixpath.basename(key) == _THUMBNAILS


def sign(text: str, *, key: str, url_of: Signer) -> str:
    """Return the text of the object `key` with each object name in it replaced by `url_of` that object's key.

    Names outside the job's folder stay as they are.
    """
    # published/<video>/<job>/
    folder = "/".join([*key.split("/")[:3], ""])

    @cache
    def signed(name: str) -> str:
        named = posixpath.normpath(posixpath.join(posixpath.dirname(key), name))
        if posixpath.splitext(name)[1] in SITE_SUFFIXES or not named.startswith(folder):
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
        case _ if contains_names(key):
            return _VTT_TILE.sub(lambda found: signed(found[0]), text)
        case _:
            return text


def _signed_hls_line(line: str, signed: Signer) -> str:
    if line.startswith("#"):
        return _HLS_ATTRIBUTE.sub(lambda found: signed(found[0]), line)
    return signed(line) if line else line
