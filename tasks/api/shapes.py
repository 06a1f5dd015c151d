"""The shapes of what the API accepts and returns, from which its OpenAPI document is made."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext
from rest_framework import serializers

from ..conf import bridge_settings
from ..lifecycle.states import JobState
from ..lifecycle.video_status import VideoStatus
from ..models import MAX_DESCRIPTION_CHARS, CaptionPurpose, Visibility
from ..models.cost import PriceSource, WastedBy
from ..transcode.sandbox.limits import MAX_CHAPTER_TITLE_CHARS, MAX_CHAPTERS, MAX_DURATION_S
from ..views.direct_upload import MAX_URLS
from ..views.upload import size_problem
from .protocol.fields import Entered, Flag, Moment, Number, Shown, Text, paged

MAX_TITLE_CHARS = 200
_MEDIA_TYPE = re.compile(r"[\x20-\x7e]{1,100}")


class VideoShown(Shown):
    """A video. Its `ETag` changes with everything here."""

    id = serializers.UUIDField()
    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True, help_text="Plain text with line breaks.")
    status = serializers.ChoiceField(choices=[each.value for each in VideoStatus])
    message = serializers.CharField(help_text="What the status means, for people.")
    visibility = serializers.ChoiceField(choices=Visibility.values)
    created_at = Moment()
    size_bytes = serializers.IntegerField(allow_null=True, help_text="Of the uploaded file, if it is known.")
    duration_s = serializers.FloatField(allow_null=True, help_text="Of the published video.")
    warnings = serializers.ListField(
        child=serializers.DictField(child=serializers.CharField()),
        help_text="`code` and `message` of what is wrong with the file, for people who may view the video.",
    )
    job = serializers.UUIDField(allow_null=True, help_text="The newest job, for people who may view the video.")
    published_job = serializers.UUIDField(allow_null=True, help_text="The job whose result is published.")
    can_retry = serializers.BooleanField()
    rights = serializers.ListField(
        child=serializers.ChoiceField(choices=["watch", "view", "change", "delete"]),
        help_text="What you may do with it.",
    )


class SourceEntered(Entered):
    """The new file of a video, for an upload in parts."""

    name = Text(max_length=1000, help_text="Name of the file.")
    size_bytes = Number(min_value=1)
    type = Text(max_length=100, required=False, default="application/octet-stream", help_text="Media type.")

    def validate_size_bytes(self, size_bytes: int) -> int:
        """Refuse files above `upload_limit_bytes`."""
        if problem := size_problem(size_bytes):
            raise serializers.ValidationError(problem)
        return size_bytes

    def validate_type(self, media_type: str) -> str:
        """Refuse what no header can contain."""
        if not _MEDIA_TYPE.fullmatch(media_type):
            message = gettext("A media type such as video/mp4 is needed.")
            raise serializers.ValidationError(message)
        return media_type


class VideoEntered(SourceEntered):
    """The file of a new video, for an upload in parts."""

    title = Text(
        max_length=MAX_TITLE_CHARS,
        required=False,
        default="",
        allow_blank=True,
        help_text="By default the file's name.",
    )
    visibility = serializers.ChoiceField(choices=Visibility.values, required=False)


class VideoChanged(Entered):
    """What may be changed of a video."""

    title = Text(max_length=MAX_TITLE_CHARS, required=False, allow_blank=True)
    description = Text(max_length=MAX_DESCRIPTION_CHARS, required=False, allow_blank=True)
    visibility = serializers.ChoiceField(choices=Visibility.values, required=False)


class FileEntered(Entered):
    """A form with a file, for an upload in one request."""

    file = serializers.FileField(max_length=1000)

    def validate_file(self, file: Any) -> Any:
        """Refuse files above `upload_limit_bytes`."""
        if problem := size_problem(file.size):
            raise serializers.ValidationError(problem)
        return file


class VideoFileEntered(FileEntered):
    """A form with the file of a new video."""

    title = serializers.CharField(max_length=MAX_TITLE_CHARS, required=False, default="", allow_blank=True)
    visibility = serializers.ChoiceField(choices=Visibility.values, required=False)


class UploadShown(Shown):
    """An upload in parts. Send each missing part to its URL, then complete the upload."""

    video = serializers.UUIDField()
    size_bytes = serializers.IntegerField()
    part_bytes = serializers.IntegerField(help_text="Size of each part except the last.")
    missing = serializers.ListField(child=serializers.IntegerField(), help_text="Numbers of parts, from 1.")


class PartsEntered(Entered):
    """Numbers of parts."""

    numbers = serializers.ListField(child=Number(min_value=1), min_length=1, max_length=MAX_URLS)


class PartUrlsShown(Shown):
    """Presigned URLs."""

    urls = serializers.DictField(child=serializers.CharField(), help_text="URL of each part, by its number.")


class ProgressShown(Shown):
    """How far a job is."""

    percent = serializers.IntegerField(help_text="0 to 99, and 100 for a job that has succeeded.")
    stage = serializers.CharField(help_text="What it is doing, for people.")
    units_done = serializers.IntegerField()
    units_total = serializers.IntegerField()
    containers = serializers.IntegerField(help_text="How many work on it now.")
    attempt = serializers.IntegerField(help_text="0 before the first.")
    remaining_s = serializers.IntegerField(allow_null=True)


class CostShown(Shown):
    """US dollars as text, because JSON's numbers are not exact."""

    usd = serializers.CharField()
    wasted_usd = serializers.DictField(child=serializers.CharField(), help_text=f"By {', '.join(WastedBy)}.")
    by_price_source_usd = serializers.DictField(
        child=serializers.CharField(), help_text=f"By {', '.join(PriceSource)}."
    )
    containers_not_included = serializers.IntegerField()


class JobShown(Shown):
    """A job: one request to make a video playable."""

    id = serializers.UUIDField()
    video = serializers.UUIDField()
    state = serializers.ChoiceField(choices=[each.value for each in JobState])
    profile = serializers.CharField()
    automatic = serializers.BooleanField(help_text="Requested by an upload, not by a person.")
    reason = serializers.CharField(allow_blank=True, help_text="Code of why it ended or waits.")
    message = serializers.CharField(allow_blank=True, help_text="The same for people.")
    created_at = Moment()
    finished_at = Moment(allow_null=True)
    progress = ProgressShown()
    cost = CostShown(allow_null=True, help_text="Null for people without `change_video`.")


class ChapterShown(Shown):
    """A chapter."""

    start_s = serializers.FloatField()
    end_s = serializers.FloatField()
    title = serializers.CharField()


class ChaptersShown(Shown):
    """The chapters of the published video."""

    results = ChapterShown(many=True)


class CaptionShown(Shown):
    """A caption track."""

    added = serializers.UUIDField(
        allow_null=True, help_text="Id of the captions that were added; null for those of the file."
    )
    automatic = serializers.BooleanField(
        help_text="Whether they are of speech recognition, and nobody has edited them."
    )
    name = serializers.CharField()
    language = serializers.CharField(allow_blank=True, help_text="BCP 47 tag; empty if unknown.")
    purpose = serializers.ChoiceField(choices=["", "forced", "sdh"], allow_blank=True)
    cues = serializers.IntegerField()
    url = serializers.CharField(help_text="The WebVTT file.")
    playlist = serializers.CharField(help_text="The HLS playlist that contains it.")


class CaptionsShown(Shown):
    """The caption tracks of the published video."""

    results = CaptionShown(many=True)


class CaptionsEntered(Entered):
    """A form with a caption file: SubRip, WebVTT or SubStation Alpha."""

    file = serializers.FileField(max_length=1000)
    language = serializers.CharField(max_length=35, help_text="BCP 47 tag, such as en or pt-BR.")
    purpose = serializers.ChoiceField(choices=CaptionPurpose.values, required=False, default="", allow_blank=True)
    name = serializers.CharField(
        max_length=60, required=False, default="", allow_blank=True, help_text="By default that of the language."
    )


class CaptionsChanged(Entered):
    """What may be changed of captions that were added."""

    language = Text(max_length=35, required=False)
    purpose = serializers.ChoiceField(choices=CaptionPurpose.values, required=False, allow_blank=True)
    name = Text(max_length=60, required=False, allow_blank=True)
    webvtt = Text(
        max_length=1_000_000, required=False, help_text="The whole text. They are not automatic any more then."
    )


class AddedCaptionsShown(Shown):
    """Captions that a person added, or automatic ones."""

    id = serializers.UUIDField()
    language = serializers.CharField()
    purpose = serializers.ChoiceField(choices=CaptionPurpose.values, allow_blank=True)
    name = serializers.CharField()
    cues = serializers.IntegerField()
    automatic = serializers.BooleanField(source="is_automatic", help_text="As in the list of all captions.")
    encoding = serializers.CharField(help_text="How the file was read.")
    encoding_is_certain = serializers.BooleanField(help_text="False if it was guessed from the language.")
    in_playlists = serializers.BooleanField(help_text="Whether the playlists offer them as they are now.")
    created_at = Moment()


class AddedCaptionsListShown(Shown):
    """All captions that were added to a video."""

    results = AddedCaptionsShown(many=True)


class OwnCaptionsEntered(Entered):
    """Whether the captions of the file are offered, too."""

    keep = Flag()


class ChapterEntered(Entered):
    """A chapter. It lasts until the next one."""

    start_s = serializers.FloatField(min_value=0, max_value=MAX_DURATION_S)
    title = Text(max_length=MAX_CHAPTER_TITLE_CHARS)


class ChaptersEntered(Entered):
    """The chapters of a video, in their order; an empty list is none at all."""

    results = ChapterEntered(many=True, max_length=MAX_CHAPTERS)  # type: ignore[call-arg]  # of the list


class PlaybackShown(Shown):
    """What can be played. With a CDN that requires signed cookies, the response sets them."""

    video = serializers.UUIDField()
    title = serializers.CharField()
    status = serializers.ChoiceField(choices=[each.value for each in VideoStatus])
    message = serializers.CharField()
    hls = serializers.CharField(allow_null=True, help_text="URL of the HLS playlist.")
    dash = serializers.CharField(allow_null=True, help_text="URL of the DASH manifest.")
    source = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields out of the class
        allow_null=True, help_text="URL of the uploaded file, while that is all."
    )
    poster = serializers.CharField(allow_null=True)
    thumbnails = serializers.CharField(allow_null=True, help_text="URL of a WebVTT map of tiles.")
    chapters = serializers.CharField(allow_null=True, help_text="URL of the chapters as WebVTT.")
    duration_s = serializers.FloatField(allow_null=True)
    playable_s = serializers.FloatField(allow_null=True, help_text="Seconds that can be played now.")
    expires_at = Moment(allow_null=True, help_text="When the CDN's signatures end; null if the URLs do not expire.")


class ShareLinkEntered(Entered):
    """How long a share link is valid."""

    days = Number(min_value=1)

    def validate_days(self, days: int) -> int:
        """Refuse more than `share_link_max_days`."""
        limit = bridge_settings().share_link_max_days
        if days > limit:
            message = gettext("A share link is valid for 1 to {limit} days.").format(limit=limit)
            raise serializers.ValidationError(message)
        return days


class ShareLinkShown(Shown):
    """A share link: everyone who has the URL may watch the video."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    created_at = Moment()
    expires_at = Moment()


class ShareLinksShown(Shown):
    """The share links of a video that are valid."""

    results = ShareLinkShown(many=True)


VideoPage, JobPage = paged(VideoShown), paged(JobShown)
