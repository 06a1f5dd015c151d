"""Captions and chapters of a video that people add; the playlists offer them within seconds."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import CaptionPurpose, Captions, Video
from ..selectors.publication import shown_chapters
from ..services.editing.captions import (
    add_captions,
    change_captions,
    edit_text,
    keep_own_captions,
    remove_captions,
)
from ..services.editing.chapters import checked_row, save_chapters
from .endpoint import Endpoint
from .protocol.bodies import Form, StrictJson
from .protocol.fields import entered, shown
from .schema import described
from .shapes import (
    AddedCaptionsListShown,
    AddedCaptionsShown,
    CaptionsChanged,
    CaptionsEntered,
    ChaptersEntered,
    ChaptersShown,
    OwnCaptionsEntered,
)


class Chapters(Endpoint):
    """The chapters of a video."""

    tag = "editing"

    @described("listChapters", responses=ChaptersShown)
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """List the chapters of the published video, in their order."""
        return self._response(self.video(video_id, "watch"))

    @described("replaceChapters", request=ChaptersEntered, responses=ChaptersShown)
    def put(self, request: Request, video_id: uuid.UUID) -> Response:
        """Replace the chapters. An empty list is none at all.

        400 with a code that begins with `CHAPTERS_` names the chapter, as a line, that cannot be used.
        """
        video = self.video(video_id, "change")
        rows: list[dict[str, Any]] = []
        for number, each in enumerate(entered(ChaptersEntered, request.data)["results"], start=1):
            after_ms = rows[-1]["start_ms"] if rows else -1
            rows.append(checked_row(round(each["start_s"] * 1000), each["title"], number=number, after_ms=after_ms))
        save_chapters(video_id=video.pk, chapters=rows)
        return self._response(self.video(video_id, "change"))

    @described("resetChapters", responses={204: None})
    def delete(self, request: Request, video_id: uuid.UUID) -> Response:
        """Show the chapters of the file again."""
        save_chapters(video_id=self.video(video_id, "change").pk, chapters=None)
        return Response(status=204)

    def _response(self, video: Video) -> Response:
        return Response(shown(ChaptersShown, {"results": shown_chapters(video)}))


class OwnCaptions(Endpoint):
    """The captions of the file itself."""

    tag = "editing"

    @described("keepOwnCaptions", request=OwnCaptionsEntered, responses={204: None})
    def put(self, request: Request, video_id: uuid.UUID) -> Response:
        """Offer the captions of the file, or none of them."""
        video = self.video(video_id, "change")
        keep_own_captions(video_id=video.pk, keep=entered(OwnCaptionsEntered, request.data)["keep"])
        return Response(status=204)


class CaptionsEndpoint(Endpoint):
    """A view of captions that people added."""

    tag = "editing"

    def shown_captions(self, video_id: uuid.UUID, captions: Captions) -> dict[str, Any]:
        """Return the captions, and whether the playlists have them."""
        video = self.video(video_id, "change")
        names = (
            "id",
            "language",
            "purpose",
            "name",
            "cues",
            "is_automatic",
            "encoding",
            "encoding_is_certain",
            "created_at",
        )
        is_shown = video.published_job_id is not None and video.shown_edit >= captions.edit
        values = {name: getattr(captions, name) for name in names}
        return shown(AddedCaptionsShown, {**values, "in_playlists": is_shown})


class AddedCaptions(CaptionsEndpoint):
    """All captions that people added to a video."""

    parser_classes = [Form]

    @described("listAddedCaptions", responses=AddedCaptionsListShown)
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """List the captions that were added, by language."""
        video = self.video(video_id, "change")
        found = Captions.objects.filter(video=video).defer("webvtt")
        return Response({"results": [self.shown_captions(video_id, each) for each in found]})

    @described("addCaptions", request={"multipart/form-data": CaptionsEntered}, responses={201: AddedCaptionsShown})
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Add a caption file. It replaces the one that was added for its language and purpose, so it may be repeated.

        400 with a code that begins with `CAPTIONS_` names the line that cannot be used; 409 `TOO_MANY_CAPTIONS`.
        """
        video = self.video(video_id, "change")
        asked = entered(CaptionsEntered, request.data)
        captions = add_captions(
            video_id=video.pk,
            content=asked["file"].read(),
            language=asked["language"],
            purpose=CaptionPurpose(asked["purpose"]),
            name=asked["name"],
        )
        captions.refresh_from_db(fields=["created_at"])
        return Response(self.shown_captions(video_id, captions), status=201)


class OneAddedCaptions(CaptionsEndpoint):
    """One caption track that a person added."""

    parser_classes = [StrictJson]

    @described("changeCaptions", request=CaptionsChanged, responses=AddedCaptionsShown)
    def patch(self, request: Request, video_id: uuid.UUID, captions_id: uuid.UUID) -> Response:
        """Change language, purpose, name or text.

        400 with a code that begins with `CAPTIONS_` names the line of the text that cannot be used; 409
        `CAPTIONS_EXIST` if others have that language and purpose.
        """
        self._require(video_id, captions_id)
        asked = entered(CaptionsChanged, request.data, partial=True)
        with transaction.atomic():
            captions = change_captions(
                video_id=video_id,
                captions_id=captions_id,
                language=asked.get("language"),
                purpose=CaptionPurpose(asked["purpose"]) if "purpose" in asked else None,
                name=asked.get("name"),
            )
            if "webvtt" in asked:
                captions = edit_text(video_id=video_id, captions_id=captions_id, text=asked["webvtt"])
        return Response(self.shown_captions(video_id, captions))

    @described("removeCaptions", responses={204: None})
    def delete(self, request: Request, video_id: uuid.UUID, captions_id: uuid.UUID) -> Response:
        """Remove the captions. Those of the file that they replaced are offered again."""
        self._require(video_id, captions_id)
        remove_captions(video_id=video_id, captions_id=captions_id)
        return Response(status=204)

    def _require(self, video_id: uuid.UUID, captions_id: uuid.UUID) -> None:
        """Raise Http404 unless this user may change the video, and it has these captions."""
        if not Captions.objects.filter(video=self.video(video_id, "change"), pk=captions_id).exists():
            raise Http404(gettext("These captions were removed or do not exist."))
