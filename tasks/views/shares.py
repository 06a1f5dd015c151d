"""Who may watch a video: its visibility and share links, for those who may change it; and opening a share link."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from ..conf import bridge_settings
from ..lifecycle.errors import BatchreelError
from ..models import Video, Visibility
from ..selectors.share_links import live_link, live_links, token_of
from ..services.requests.share import create_share_link, revoke_share_links, set_visibility
from .access import html_view, post_only, video_for
from .cookies import keep_link
from .embed import frame_html, framed

_DAYS = 30


class VisibilityForm(forms.Form):
    """The choice of who may watch."""

    visibility = forms.ChoiceField(choices=Visibility.choices)


class ShareLinkForm(forms.Form):
    """The validity of a new share link."""

    days = forms.IntegerField(min_value=1)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["days"] = forms.IntegerField(min_value=1, max_value=bridge_settings().share_link_max_days)


def sharing_context(request: HttpRequest, video: Video) -> dict[str, Any]:
    """Return what the page shows to those who may change the video: visibility, links and the HTML of a frame."""
    links = [
        {"link": link, "url": request.build_absolute_uri(reverse("batchreel:share", args=[token_of(link)]))}
        for link in live_links().filter(video=video)
    ]
    frame_url = request.build_absolute_uri(reverse("batchreel:embed", args=[video.pk]))
    return {
        "may_change": True,
        "visibilities": Visibility.choices,
        "share_links": links,
        "share_link_days": min(_DAYS, bridge_settings().share_link_max_days),
        "share_link_max_days": bridge_settings().share_link_max_days,
        "frame_html": frame_html(frame_url, str(video)),
    }


@post_only("batchreel:video")
@html_view
def visibility(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseRedirect:
    """Change who may watch the video."""
    video, form = video_for(request, video_id, "change"), VisibilityForm(request.POST)
    if form.is_valid():
        set_visibility(video_id=video.pk, visibility=Visibility(form.cleaned_data["visibility"]))
        messages.success(request, gettext("Who may watch the video was changed."))
    else:
        messages.error(request, gettext("Choose who may watch the video."))
    return redirect("batchreel:video", video.pk)


@post_only("batchreel:video")
@html_view
def create_link(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseRedirect:
    """Create a share link that is valid for a number of days."""
    video, form = video_for(request, video_id, "change"), ShareLinkForm(request.POST)
    if not form.is_valid():
        limit = bridge_settings().share_link_max_days
        messages.error(request, gettext("A share link is valid for 1 to {limit} days.").format(limit=limit))
        return redirect("batchreel:video", video.pk)
    try:
        create_share_link(video_id=video.pk, days=form.cleaned_data["days"])
    except BatchreelError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, gettext("A share link was created."))
    return redirect("batchreel:video", video.pk)


@post_only("batchreel:video")
@html_view
def revoke_link(request: HttpRequest, video_id: uuid.UUID, link_id: uuid.UUID) -> HttpResponseRedirect:
    """Revoke a share link: people who opened it before can no longer watch either."""
    video = video_for(request, video_id, "change")
    if not revoke_share_links(video_id=video.pk, link_id=link_id):
        raise Http404
    messages.success(request, gettext("The share link was revoked."))
    return redirect("batchreel:video", video.pk)


@require_safe
@login_not_required
def share(request: HttpRequest, token: str) -> HttpResponseBase:
    """Keep the share link in a cookie, and redirect to the video's page, whose address reveals nothing (302).

    404 for a link that has expired, was revoked, or never existed.
    """
    return _opened(request, token, "batchreel:video")


@require_safe
@login_not_required
def share_embed(request: HttpRequest, token: str) -> HttpResponseBase:
    """Do the same for a frame on another site's page: redirect to the embed page (302, 404)."""
    return framed(request, _opened(request, token, "batchreel:embed"))


def _opened(request: HttpRequest, token: str, page: str) -> HttpResponse:
    link = live_link(token)
    if link is None:
        raise Http404
    response = redirect(page, link.video_id)
    keep_link(request, response, link)
    response["Cache-Control"] = "no-store"
    # The address is the secret.
    response["Referrer-Policy"] = "no-referrer"
    return response
