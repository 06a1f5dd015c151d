"""URLs of published objects."""

from __future__ import annotations

from urllib.parse import quote

from django.conf import settings
from django.urls import reverse


def media_url(key: str) -> str:
    """Return the URL of a published object, or an empty string for an empty key.

    Playlists contain relative URLs of the units' files, so all objects need a common base URL:
    MEDIA_BASE_URL (a CDN or a public bucket), or else this site's media view, which serves the files of
    a folder and signs the playlists of a private bucket.
    """
    if not key:
        return ""
    # Optional in a host site's settings.
    if base_url := str(getattr(settings, "MEDIA_BASE_URL", "")):
        return f"{base_url.rstrip('/')}/{quote(key)}"
    return reverse("batchreel:media", args=[key])
