"""URLs of published objects."""

from __future__ import annotations

from urllib.parse import quote

from django.urls import reverse

from ..conf import bridge_settings


def media_url(key: str) -> str:
    """Return the URL of a published object, or an empty string for an empty key.

    Playlists contain relative URLs of the units' files, so all objects need a common base URL:
    `media_base_url` (a CDN or a public bucket), or else this site's media view, which serves the files of
    a folder and signs the playlists of a private bucket.
    """
    if not key:
        return ""
    if base_url := bridge_settings().media_base_url:
        return f"{base_url.rstrip('/')}/{quote(key)}"
    return reverse("batchreel:media", args=[key])
