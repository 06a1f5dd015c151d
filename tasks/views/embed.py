"""The player alone, for a frame on a page of another site; oEmbed, by which that site finds it; playback as JSON."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.urls import Resolver404, get_script_prefix, resolve, reverse
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from ..conf import bridge_settings
from ..models import Video
from ..selectors.access import allowed
from ..selectors.media_urls import poster_url
from ..selectors.player import playback_of, player_context, watched_job
from ..selectors.share_links import live_link
from ..selectors.videos import video_overview
from .access import json_error, json_view, page, video_for
from .cookies import open_cdn

_WIDTH_PX, _HEIGHT_PX = 640, 360
"""Size of a frame: the poster and the player fit any shape of a video into 16:9."""


@require_safe
@login_not_required
def embed(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Show the player alone (200), or a note with a link to the video's page, where one can sign in (404).

    The note is the same whether there is such a video or not. Pages of `frame_ancestors` may show it in a frame.
    """
    try:
        video = video_for(request, video_id)
    except Http404:
        url = request.build_absolute_uri(reverse("batchreel:video", args=[video_id]))
        return framed(request, page(request, "batchreel/embed_refused.html", {"url": url}, status=404))
    overview = video_overview(video)
    response = page(request, "batchreel/embed.html", player_context(video, overview, request.user))
    open_cdn(request, response, watched_job(video, overview))
    patch_vary_headers(response, ["Cookie"])
    return framed(request, response)


@require_safe
@json_view
def playback(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Respond with what a player of the site's own needs, and with the CDN's cookies if it requires them."""
    video = video_for(request, video_id)
    overview = video_overview(video)
    response = JsonResponse(playback_of(video, overview))
    open_cdn(request, response, watched_job(video, overview))
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@json_view
def oembed(request: HttpRequest) -> HttpResponseBase:
    """Respond with the frame of a video's page, embed page or share link: `?url=...` (oembed.com, version 1.0).

    404 for every other URL, and for a video that the person who asks may not watch; 501 for XML.
    """
    if request.GET.get("format", "json") != "json":
        return json_error(501, "FORMAT", gettext("Only JSON is available."))
    address = request.GET.get("url", "")
    if not address:
        return json_error(400, "INVALID", gettext("The request needs the url of a video."))
    video, frame_path = _named(request, address)
    width_px, height_px = _fitted(request.GET.get("maxwidth"), request.GET.get("maxheight"))
    response = JsonResponse(
        {
            "version": "1.0",
            "type": "video",
            "title": str(video),
            "provider_name": bridge_settings().site_name,
            "provider_url": request.build_absolute_uri(reverse("batchreel:list")),
            "html": frame_html(
                request.build_absolute_uri(frame_path), str(video), width_px=width_px, height_px=height_px
            ),
            "width": width_px,
            "height": height_px,
        }
    )
    response["Cache-Control"] = "no-store"
    return response


def open_graph(request: HttpRequest, video: Video) -> dict[str, Any]:
    """Return what a page announces to other sites: Open Graph's properties, and the address of oEmbed.

    Only for pages that everyone with the address may open.
    """
    url = request.build_absolute_uri(reverse("batchreel:video", args=[video.pk]))
    poster = poster_url(video.published_job)
    return {
        "url": url,
        "site_name": bridge_settings().site_name,
        "image": request.build_absolute_uri(poster) if poster else "",
        "frame": request.build_absolute_uri(reverse("batchreel:embed", args=[video.pk])),
        "oembed": request.build_absolute_uri(f"{reverse('batchreel:oembed')}?{urlencode({'url': url})}"),
        "width": _WIDTH_PX,
        "height": _HEIGHT_PX,
    }


def frame_html(url: str, title: str, *, width_px: int = _WIDTH_PX, height_px: int = _HEIGHT_PX) -> str:
    """Return the HTML with which another page shows an embed page in a frame."""
    context = {"url": url, "title": title, "width": width_px, "height": height_px}
    return render_to_string("batchreel/frame.html", context).strip()


def framed(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    """Let pages of `frame_ancestors` show the response in a frame, whatever the site's policy is for other pages."""
    sources = bridge_settings().frame_ancestors or ["'none'"]
    # X-Frame-Options cannot name origins. Browsers that have the directive of the CSP ignore it.
    response.xframe_options_exempt = True
    policy = {"frame-ancestors": sources}
    if getattr(settings, "CONTENT_SECURITY_POLICY", None):
        return _decorated("csp.decorators.csp_replace", policy, request, response)
    if own := getattr(settings, "SECURE_CSP", None):  # Django 6.0
        return _decorated("django.views.decorators.csp.csp_override", {**own, **policy}, request, response)
    response["Content-Security-Policy"] = f"frame-ancestors {' '.join(sources)}"
    return response


def _decorated(path: str, policy: dict[str, Any], request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    decorated: HttpResponseBase = import_string(path)(policy)(lambda _request: response)(request)
    return decorated


def _named(request: HttpRequest, address: str) -> tuple[Video, str]:
    """Return the video that a URL of this site names, and the path of its frame. Raises Http404."""
    try:
        url = urlsplit(address)
        match = resolve("/" + url.path.removeprefix(get_script_prefix()))
    except (ValueError, Resolver404):
        raise Http404 from None
    if url.netloc != request.get_host():
        raise Http404
    if match.view_name in {"batchreel:share", "batchreel:share-embed"}:
        token = match.kwargs["token"]
        link = live_link(token)
        if link is None or not allowed(request.user, "watch", link.video, links=[link.pk]):
            raise Http404
        return link.video, reverse("batchreel:share-embed", args=[token])
    if match.view_name not in {"batchreel:video", "batchreel:embed"}:
        raise Http404
    video = video_for(request, match.kwargs["video_id"])
    return video, reverse("batchreel:embed", args=[video.pk])


def _fitted(max_width: str | None, max_height: str | None) -> tuple[int, int]:
    """Return width and height in px of a frame of 16:9 that fits, at least 16 by 9."""
    limits = [
        int(text) / side
        for text, side in ((max_width, _WIDTH_PX), (max_height, _HEIGHT_PX))
        if text and text.isdecimal() and len(text) < 6  # noqa: PLR2004 - no screen has more than 99,999 px
    ]
    scale = max(min([1.0, *limits]), 16 / _WIDTH_PX)
    return round(_WIDTH_PX * scale), round(_HEIGHT_PX * scale)
