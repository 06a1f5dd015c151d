"""Signed playlists, each made once and reused.

To sign a playlist of three hours takes 20 ms: ninety signatures, and a compressed text of almost a
megabyte. A class that presses play together would wait half a minute. So each process keeps the
compressed text for half of `signed_url_ttl_s`, and its URLs are valid for at least the other half.
"""

from __future__ import annotations

import gzip
import time
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from django.http import HttpRequest

from ...conf import bridge_settings
from ...storage.aliases import published_bucket, published_storage
from ...storage.bucket import Bucket
from .kept_texts import KeptTexts
from .signed import sign

_KEPT_BYTES = 16 * 1024 * 1024
"""Compressed texts that a process keeps: those of 40 lectures of three hours with five rungs."""

_kept = KeptTexts(max_bytes=_KEPT_BYTES)

KEPT_URLS = 2048
"""Number of presigned URLs that a process keeps, of growing playlists: of 4 videos with five rungs."""


def signed_gzip(bucket: Bucket, key: str) -> bytes:
    """Return the object `key` with presigned URLs, compressed. Raises FileNotFoundError."""
    window_s = bridge_settings().signed_url_ttl_s / 2
    credential = _credential(bucket.presigned_url(key))
    return _kept.get((bucket.name, key, credential, time.time() // window_s), lambda: _signed_gzip(key))


def signing_window(key: str) -> tuple[str, float] | None:
    """Return what changes whenever URLs are signed again; None if the storage is no bucket."""
    bucket = published_bucket()
    if bucket is None:
        return None
    return _credential(bucket.presigned_url(key)), time.time() // (bridge_settings().signed_url_ttl_s / 2)


def presigned_url(key: str) -> str:
    """Return the presigned URL of an object in the bucket, which stays the same for half of `signed_url_ttl_s`.

    Players that read a growing playlist again find the URLs that they have.
    """
    bucket = Bucket(published_storage)
    return _presigned_url(bucket.name, key, *(signing_window(key) or ("", 0.0)))


@lru_cache(maxsize=KEPT_URLS)
def _presigned_url(_bucket: str, key: str, _credential: str, _window: float) -> str:
    return Bucket(published_storage).presigned_url(key)


def accepts_gzip(request: HttpRequest) -> bool:
    """Return whether the client can decompress the response."""
    return "gzip" in request.headers.get("Accept-Encoding", "")


def _credential(url: str) -> str:
    """Return which credentials sign now.

    URLs expire with the credentials of a role, which may be sooner than `signed_url_ttl_s`: new
    credentials sign again.
    """
    return "".join(parse_qs(urlsplit(url).query).get("X-Amz-Credential", []))


def _signed_gzip(key: str) -> bytes:
    with published_storage.open(key, "rb") as file:
        text = file.read().decode()
    return gzip.compress(
        sign(text, key=key, url_of=Bucket(published_storage).presigned_url).encode(), compresslevel=6, mtime=0
    )
