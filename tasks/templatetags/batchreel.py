"""`{% load batchreel %}`: the player on a page of the site's own, and the name of the site."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from .. import APP
from ..conf import bridge_settings
from ..models import Video
from ..selectors.player import player_context
from ..selectors.videos import video_overview
from ..views.access import may

register = template.Library()


@register.inclusion_tag("batchreel/player_tag.html", takes_context=True)
def batchreel_player(context: dict[str, Any], video: Video) -> dict[str, Any]:
    """Show the player of a video, with its scripts and styles, to people who may watch it; a note to all others.

    A page may have several. Raises ImproperlyConfigured without the request in the context, or without the app's URLs.
    """
    request = _request_of(context)
    shown = {"csp_nonce": context.get("csp_nonce", "")}
    if not may(request, "watch", video):
        return {**shown, "refused": True}
    try:
        reverse("batchreel:list")
    except NoReverseMatch as error:
        message = (
            f'{{% batchreel_player %}} needs the URLs of the app: add path("lectures/", include("{APP}.urls")) to the'
            " URL configuration, with the namespace 'batchreel'."
        )
        raise ImproperlyConfigured(message) from error
    return {**shown, **player_context(video, video_overview(video), request.user)}


def _request_of(context: dict[str, Any]) -> HttpRequest:
    request: HttpRequest | None = context.get("request")
    if request is None:
        message = (
            "{% batchreel_player %} needs the request: render the template with render(request, ...), and add"
            " 'django.template.context_processors.request' to the context_processors of TEMPLATES."
        )
        raise ImproperlyConfigured(message)
    return request


@register.simple_tag
def batchreel_site_name() -> str:
    """Return `site_name`."""
    return bridge_settings().site_name
