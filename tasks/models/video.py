"""The rows of a video and of the links that share it.

Deleting a video only requests its deletion: rows stay until their work has ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from ..signals import deletion_requested
from ..storage.aliases import source_field_storage
from ..storage.keys import source_key


class VideoQuerySet(models.QuerySet["Video"]):
    """Videos. `delete` requests a deletion that a service performs; rows stay until their work has ended."""

    def delete(self) -> tuple[int, dict[str, int]]:
        """Request the deletion of the videos. Their jobs end now; the purge tick removes objects, then rows."""
        video_ids = list(self.values_list("pk", flat=True))
        for video_id in video_ids:
            deletion_requested.send(Video, video_id=video_id)
        return len(video_ids), {"batchreel.Video": len(video_ids)}

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's own marker for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # likewise: not a method of the manager


NEEDS_JOB = ~Q(requested_source=F("source")) & Q(deleted_at=None, source_complete=True) & ~Q(source="")
"""Complete videos for whose current source no job has been requested yet. An index contains exactly these."""

NEEDS_EDITION = ~Q(shown_edit=F("newest_edit")) & Q(deleted_at=None, published_job__isnull=False)
"""Published videos whose captions or chapters were changed after their playlists were made. An index contains these."""

_WRITTEN_BY_SERVICES = frozenset(
    {
        *("requested_source", "published_job", "deleted_at", "purge_failed_at"),
        *("chapters", "keeps_own_captions", "newest_edit", "shown_edit", "edition_failed_at"),
        "transcribed_source",
        "mail_wanted",
    }
)

MAX_DESCRIPTION_CHARS = 5000
"""Maximum length of a description: as on YouTube, and two pages of text."""


class Visibility(models.TextChoices):
    """Who may watch a video, next to its owner and everyone with a permission (tasks.selectors.access)."""

    PRIVATE = "private", _("Private: people with a permission or a share link")
    SIGNED_IN = "signed-in", _("Everyone who is signed in")
    LINK = "link", _("Everyone who has the address, without signing in")


class Video(models.Model):
    """An uploaded video. Its status is derived (tasks.lifecycle.video_status), never stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The person who uploaded it, and who may do everything with it.",
    )
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(
        max_length=MAX_DESCRIPTION_CHARS,
        blank=True,
        default="",
        db_default="",
        help_text="Plain text under the player. Line breaks are kept.",
    )
    visibility = models.CharField(
        max_length=12,
        choices=Visibility.choices,
        default=Visibility.PRIVATE,
        db_default=Visibility.PRIVATE,
        help_text="Who may watch it, next to its owner and people with a permission.",
    )
    source = models.FileField(upload_to=source_key, storage=source_field_storage, max_length=500)
    source_complete = models.BooleanField(
        default=True, help_text="False while a direct upload to the storage is in progress."
    )
    source_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, editable=False, help_text="Size of a file that was uploaded on the pages."
    )
    requested_source = models.CharField(
        max_length=500,
        blank=True,
        db_default="",
        editable=False,
        help_text="The source for which a job was last requested.",
    )
    chapters = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="Chapters that a person entered: `start_ms` and `title`. Empty: those of the file.",
    )
    keeps_own_captions = models.BooleanField(
        default=True, db_default=True, editable=False, help_text="Whether the captions of the file are offered, too."
    )
    transcribed_source = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The source whose automatic captions were offered: it is not transcribed again.",
    )
    newest_edit = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Number of the newest change of captions or chapters."
    )
    shown_edit = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="The change up to which the published playlists are."
    )
    edition_failed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When making its edition last failed; others are tried first."
    )
    mail_wanted = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Whether its owner wants a mail when it can be watched, or has failed.",
    )
    published_job = models.ForeignKey("Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    purge_failed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When purging it last failed; others are tried first."
    )

    objects = VideoQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="video_deleted"),
            models.Index(fields=["created_at"], condition=NEEDS_JOB, name="video_needs_job"),
            # The list of videos, and its groups of those that are not published.
            models.Index(fields=["-created_at"], condition=Q(deleted_at=None), name="video_shown"),
            models.Index(
                fields=["-created_at"], condition=Q(deleted_at=None, published_job=None), name="video_unpublished"
            ),
            models.Index(fields=["edition_failed_at"], condition=NEEDS_EDITION, name="video_needs_edition"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(visibility__in=Visibility.values), name="video_visibility_known")
        ]
        permissions = [
            ("exceed_quotas", "Can exceed the quotas of an owner"),
            ("watch_video", "Can watch video"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.pk)

    def save(self, *, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the fields that people edit.

        Fields written by services are skipped, because a stale copy would overwrite them.
        """
        if update_fields is None and not self._state.adding:
            own = {field.name for field in self._meta.concrete_fields if not field.primary_key}
            update_fields = own - _WRITTEN_BY_SERVICES - self.get_deferred_fields()
        super().save(update_fields=update_fields, **options)

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:  # noqa: FBT001, FBT002 - Django's signature
        """Mark the video as deleted; see VideoQuerySet.delete."""
        return Video.objects.filter(pk=self.pk).delete()


class WatchPosition(models.Model):
    """How far a person has watched a video, on sites with `keep_watch_positions`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="watch_positions")
    position_s = models.FloatField(help_text="Seconds from the beginning at which playback was left.")
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "video"], name="watch_position_once"),
            models.CheckConstraint(condition=Q(position_s__gte=0), name="watch_position_not_negative"),
        ]

    def __str__(self) -> str:
        return f"position of {self.user_id} in {self.video_id}"


class ShareLink(models.Model):
    """A link to one video. Revoking it deletes the row; the link itself is made from the id and SECRET_KEY."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="share_links")
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"share link of {self.video_id} until {self.expires_at:%Y-%m-%d %H:%M}"


class CaptionPurpose(models.TextChoices):
    """What captions are for. Manifests and players have the same values."""

    SUBTITLES = "", _("Subtitles: what is spoken")
    SDH = "sdh", _("Captions for the deaf and hard of hearing: also who speaks, music and noises")
    FORCED = "forced", _("Only what is in another language than the video")


class Captions(models.Model):
    """Captions that were added to a video, by a person or automatically.

    The playlists offer them in its next edition (`job.Edition`).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="captions")
    language = models.CharField(max_length=35, help_text="BCP 47 tag.")
    purpose = models.CharField(max_length=8, choices=CaptionPurpose.choices, blank=True, default="")
    name = models.CharField(max_length=60, help_text="Name in the player's menu.")
    webvtt = models.TextField(help_text="A whole WebVTT file, on the clock of the published video.")
    cues = models.PositiveIntegerField()
    end_ms = models.PositiveBigIntegerField(help_text="When the last cue ends.")
    file_format = models.CharField(max_length=30, help_text="Format of the uploaded file.")
    encoding = models.CharField(max_length=20, help_text="Encoding of the uploaded file.")
    encoding_is_certain = models.BooleanField(help_text="Whether the file showed its encoding, or its language did.")
    transcribed_source = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="The source of which they are the automatic captions; empty if a person added or edited them.",
    )
    edit = models.PositiveIntegerField(help_text="`newest_edit` of the video when it was last changed.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["language", "purpose"]
        verbose_name_plural = "captions"
        constraints = [
            models.UniqueConstraint(fields=["video", "language", "purpose"], name="one_track_per_language_and_purpose"),
            models.CheckConstraint(condition=Q(purpose__in=CaptionPurpose.values), name="caption_purpose_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language}) of {self.video_id}"

    @property
    def is_automatic(self) -> bool:
        """Whether speech recognition has made them, and no person has edited their text."""
        return bool(self.transcribed_source)
