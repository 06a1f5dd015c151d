"""The map of the thumbnails of a published video, for the seek bar of its page."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ...conf import bridge_settings
from ...selectors.media_urls import media_url
from ...selectors.publication import contents_of
from ...storage.aliases import published_bucket, published_storage
from ...storage.bucket import bucket_errors
from ...storage.cdn import signed_until, signed_url, signing_key
from ..access import json_view, video_for
from ..playlists.kept_texts import KeptTexts
from ..playlists.signed import sign
from ..playlists.signed_texts import presigned_url

_KEPT_BYTES = 8 * 1024 * 1024
"""Maps that a process keeps: those of a hundred lectures of three hours."""

_kept = KeptTexts(max_bytes=_KEPT_BYTES)


@require_safe
@json_view
def thumbnails(request: HttpRequest, video_id: uuid.UUID) -> HttpResponse:
    """Respond with the map as WebVTT (200); 404 if there is none.

    It names images by URLs that this browser can load: of this site, signed ones of a private bucket, or of a CDN,
    which are signed if the CDN requires that. Browsers load a text track from another origin only if the player loads
    everything else with CORS, so the map comes from here, wherever the images are.
    """
    video = video_for(request, video_id)
    key = contents_of(video.published_job).thumbnails
    if not key:
        raise Http404
    try:
        text = _kept.get(key, lambda: _stored(key)).decode()
    except FileNotFoundError:
        raise Http404 from None
    body = sign(text, key=key, url_of=_image_url)
    # The URLs in it expire.
    return HttpResponse(body, content_type="text/vtt", headers={"Cache-Control": "no-store"})


def _stored(key: str) -> bytes:
    with bucket_errors(), published_storage.open(key, "rb") as file:
        return bytes(file.read())


def _image_url(key: str) -> str:
    if not bridge_settings().media_base_url and published_bucket() is not None:
        return presigned_url(key)
    url, signing = media_url(key), signing_key()
    return signed_url(signing, url, until=signed_until()) if signing else url
