"""The page on which people change a video: its texts, captions, chapters and file."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from ...conf import bridge_settings
from ...lifecycle.errors import UnusableInputError
from ...models import DirectUpload, Video
from ...selectors.publication import contents_of, listed_captions
from ...selectors.videos import video_overview
from ...services.editing.chapters import set_chapters
from ...services.requests.cancel import cancel_making
from ...services.requests.edit import edit_video
from ...storage.aliases import sources_bucket
from ...storage.bucket import BucketError
from ...transcode.languages import language_of
from ..access import html_view, page, post_only, video_for
from .forms import LANGUAGES, CaptionsForm, ChaptersForm, DetailsForm, ReplaceForm, TrackForm


@require_http_methods(["GET", "HEAD", "POST"])
@html_view
def edit(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Show the page, or change title and description."""
    video = video_for(request, video_id, "change")
    if request.method != "POST":
        return edit_page(request, video)
    form = DetailsForm(request.POST, offers_mail=offers_mail(request, video), auto_id="details-%s")
    if not form.is_valid():
        return edit_page(request, video, details=form, status=400)
    edit_video(
        video_id=video.pk,
        title=form.cleaned_data["title"],
        description=form.cleaned_data["description"],
        mail_wanted=form.cleaned_data.get("mail_wanted"),
    )
    messages.success(request, gettext("Title and description were saved."))
    return redirect("batchreel:video", video.pk)


@post_only("batchreel:edit")
@html_view
def chapters(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Replace the chapters by the lines that were entered."""
    video = video_for(request, video_id, "change")
    form = ChaptersForm(request.POST, auto_id="chapters-%s")
    if form.is_valid():
        try:
            set_chapters(video_id=video.pk, text=form.cleaned_data["text"])
        except UnusableInputError as error:
            form.add_error("text", str(error))
        else:
            messages.success(request, gettext("The chapters were saved."))
            return redirect("batchreel:edit", video.pk)
    return edit_page(request, video, chapters=form, status=400)


@post_only("batchreel:video")
@html_view
def cancel(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Cancel what is being made of the video. What is published stays."""
    video = video_for(request, video_id, "change")
    if cancel_making(video_id=video.pk):
        messages.success(request, gettext("Processing was cancelled."))
    else:
        messages.info(request, gettext("Nothing is being processed any more."))
    return redirect("batchreel:video", video.pk)


def edit_page(request: HttpRequest, video: Video, *, status: int = 200, **forms: Form) -> HttpResponse:
    """Show the page with the present values, except in the forms that are passed: those have errors.

    `forms` are by name: `details`, `chapters`, `captions`, `replace`, or the id of captions.
    """
    context: dict[str, Any] = {
        "video": video,
        "overview": video_overview(video),
        "details": DetailsForm.of(video, offers_mail=offers_mail(request, video)),
        "captions": CaptionsForm(auto_id="captions-%s"),
        "chapters": ChaptersForm.of(video),
        "replace": ReplaceForm(auto_id="replace-%s"),
        "tracks": [
            {"listed": each, "form": forms.get(str(each.captions.pk)) or TrackForm.of(each.captions)}
            for each in listed_captions(video)
        ],
        "own_captions": _own_captions(video),
        "languages": [(tag, language_of(tag).name) for tag in LANGUAGES],
        "uploads_in_parts": sources_bucket() is not None,
        "open_upload": video.source_complete and DirectUpload.objects.filter(video=video).exists(),
    }
    context["faults"] = [
        (field.id_for_label, error) for form in forms.values() for field in form for error in field.errors
    ]
    return page(request, "batchreel/edit.html", context | forms, status=status)


def offers_mail(request: HttpRequest, video: Video) -> bool:
    """Return whether this user may choose to get mails about the video: its owner, if the site has turned that on."""
    return bridge_settings().mail_choice and video.owner_id == request.user.pk


def _own_captions(video: Video) -> list[str]:
    """Return the names of the tracks of the file, also of those that are not offered; none if the storage is down."""
    try:
        contents = contents_of(video.published_job, as_made=True)
    except BucketError:
        return []
    return [str(each["name"]) for each in contents.captions]
