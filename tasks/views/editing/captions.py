"""Forms of captions: add, change, remove and download a track."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from ...lifecycle.errors import BatchreelError, NotFoundError
from ...models import CaptionPurpose, Captions
from ...services.editing.captions import (
    CaptionsChangedError,
    add_captions,
    change_captions,
    edit_text,
    keep_own_captions,
    remove_captions,
)
from ...transcode.caption_files.encodings import UTF_8
from ..access import html_view, page, post_only, video_for
from .forms import CaptionsForm, TextForm, TrackForm
from .page import edit_page


@post_only("batchreel:edit")
@html_view
def add(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Add a caption file, in place of one for the same language and purpose."""
    video = video_for(request, video_id, "change")
    form = CaptionsForm(request.POST, request.FILES, auto_id="captions-%s")
    if form.is_valid():
        asked = form.cleaned_data
        try:
            captions = add_captions(
                video_id=video.pk,
                content=asked["file"].read(),
                language=asked["language"],
                purpose=CaptionPurpose(asked["purpose"]),
                name=asked["name"],
            )
        except BatchreelError as error:
            form.add_error("language" if error.code == "LANGUAGE_UNKNOWN" else "file", f"{error} ({error.code})")
        else:
            messages.success(request, _saved(captions))
            return redirect("batchreel:edit", video.pk)
    return edit_page(request, video, captions=form, status=400)


def _saved(captions: Captions) -> str:
    text = gettext("The captions “{name}” were saved. The player offers them within a minute.").format(
        name=captions.name
    )
    if captions.encoding_is_certain or captions.encoding == UTF_8:
        return text
    guess = gettext("The file is not in UTF-8 and was read as {encoding}: check the first lines below.")
    return f"{text} {guess.format(encoding=captions.encoding)}"


@post_only("batchreel:edit")
@html_view
def change(request: HttpRequest, video_id: uuid.UUID, captions_id: uuid.UUID) -> HttpResponseBase:
    """Change language, purpose or name of a track."""
    video = video_for(request, video_id, "change")
    get_object_or_404(Captions, video=video, pk=captions_id)
    form = TrackForm(request.POST, auto_id=f"captions-{captions_id}-%s")
    if form.is_valid():
        try:
            captions = change_captions(
                video_id=video.pk,
                captions_id=captions_id,
                language=form.cleaned_data["language"],
                purpose=CaptionPurpose(form.cleaned_data["purpose"]),
                name=form.cleaned_data["name"],
            )
        except BatchreelError as error:
            form.add_error("language", str(error))
        else:
            messages.success(request, gettext("The captions “{name}” were changed.").format(name=captions.name))
            return redirect("batchreel:edit", video.pk)
    return edit_page(request, video, status=400, **{str(captions_id): form})


@require_http_methods(["GET", "HEAD", "POST"])
@html_view
def text(request: HttpRequest, video_id: uuid.UUID, captions_id: uuid.UUID) -> HttpResponseBase:
    """Show the text of a track, or replace it by what was entered."""
    video = video_for(request, video_id, "change")
    captions = get_object_or_404(Captions, video=video, pk=captions_id)
    form, status = TextForm.of(captions), 200
    if request.method == "POST":
        form, status = TextForm(request.POST, auto_id="text-%s"), 400
        if form.is_valid():
            try:
                edit_text(
                    video_id=video.pk,
                    captions_id=captions_id,
                    text=form.cleaned_data["text"],
                    seen_edit=form.cleaned_data["seen_edit"],
                )
            except CaptionsChangedError as error:
                # What was entered stays; who has read this may replace the others' changes.
                entered = request.POST.copy()
                entered["seen_edit"] = str(captions.edit)
                form = TextForm(entered, auto_id="text-%s")
                form.add_error("text", f"{error} ({error.code})")
                status = 409
            except BatchreelError as error:
                form.add_error("text", f"{error} ({error.code})")
            else:
                messages.success(request, _saved(captions))
                return redirect("batchreel:edit", video.pk)
    form.fields["text"].widget.attrs["lang"] = captions.language
    context = {"video": video, "captions": captions, "form": form}
    return page(request, "batchreel/captions_text.html", context, status=status)


@post_only("batchreel:edit")
@html_view
def remove(request: HttpRequest, video_id: uuid.UUID, captions_id: uuid.UUID) -> HttpResponseBase:
    """Remove a track."""
    video = video_for(request, video_id, "change")
    try:
        remove_captions(video_id=video.pk, captions_id=captions_id)
    except NotFoundError as error:
        messages.info(request, str(error))
    else:
        messages.success(request, gettext("The captions were removed."))
    return redirect("batchreel:edit", video.pk)


@post_only("batchreel:edit")
@html_view
def own(request: HttpRequest, video_id: uuid.UUID) -> HttpResponseBase:
    """Offer the captions of the file, or none of them."""
    video = video_for(request, video_id, "change")
    keep = request.POST.get("keep") == "yes"
    keep_own_captions(video_id=video.pk, keep=keep)
    text = gettext("The captions of the file are offered.") if keep else gettext("The captions of the file are hidden.")
    messages.success(request, text)
    return redirect("batchreel:edit", video.pk)


@require_safe
@html_view
def download(request: HttpRequest, video_id: uuid.UUID, captions_id: uuid.UUID) -> HttpResponse:
    """Respond with a track as a WebVTT file."""
    video = video_for(request, video_id, "change")
    captions = get_object_or_404(Captions, video=video, pk=captions_id)
    name = f"{video} {captions.language}{'-' * bool(captions.purpose)}{captions.purpose}.vtt"
    header = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    headers = {"Content-Disposition": header, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(captions.webvtt, content_type="text/vtt", headers=headers)
