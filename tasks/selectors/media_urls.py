"""Where a browser finds published objects."""

from __future__ import annotations

from urllib.parse import quote

from django.conf import settings
from django.urls import reverse


def media_url(key: str) -> str:
    """The address of a published object; empty for an empty key.

    Playlists name their units' files by relative addresses, so all must lie under one base: MEDIA_BASE_URL (a CDN or a public bucket),
    else this site's own media view, which serves a folder's files, and signs the playlists of a private bucket.
    """
    if not key:
        return ""
    # A host site's settings need not have it.
    if base_url := str(getattr(settings, "MEDIA_BASE_URL", "")):
        return f"{base_url.rstrip('/')}/{quote(key)}"
    return reverse("batchreel:media", args=[key])
