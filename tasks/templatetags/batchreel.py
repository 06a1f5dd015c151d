"""`{% load batchreel %}`: the player on a page of the site's own, and the name of the site."""

from __future__ import annotations

from typing import Any

from django import template

from ..conf import bridge_settings
from ..models import Video
from ..selectors.player import player_context
from ..selectors.videos import video_overview
from ..views.access import may

register = template.Library()


@register.inclusion_tag("batchreel/player_tag.html", takes_context=True)
def batchreel_player(context: dict[str, Any], video: Video) -> dict[str, Any]:
    """Show the player of a video, with its scripts and styles, to people who may watch it; a note to all others.

    Once in a page. Needs the context processor `django.template.context_processors.request`.
    """
    shown = {"csp_nonce": context.get("csp_nonce", "")}
    if not may(context["request"], "watch", video):
        return {**shown, "refused": True}
    return {**shown, **player_context(video, video_overview(video))}


@register.simple_tag
def batchreel_site_name() -> str:
    """Return `site_name`."""
    return bridge_settings().site_name
