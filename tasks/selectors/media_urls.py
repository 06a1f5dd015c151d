"""URLs of published objects."""

from __future__ import annotations

from urllib.parse import quote

from django.urls import reverse

from ..conf import bridge_settings
from ..models import Job
from ..storage.cdn import signed_until, signed_url, signing_key


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


def poster_url(job: Job | None) -> str:
    """Return the URL of a publication's poster, or an empty string if there is none.

    It is signed if the CDN requires that: a list shows many videos, and cookies would open one.
    """
    url = media_url(job.poster_key) if job else ""
    key = signing_key()
    return signed_url(key, url, until=signed_until()) if url and key else url
