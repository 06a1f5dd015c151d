"""The job's row."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from ..lifecycle.states import ACTIVE_JOB_STATES, OPEN_JOB_STATES, JobPriority, JobState
from .choices import choices, values_of
from .video import Video


class Job(models.Model):
    """The durable request: make this version of this video playable with this profile."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    video = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="jobs")
    source_name = models.CharField(
        max_length=500, help_text="Storage name of the source file, which identifies the video's version."
    )
    profile = models.CharField(max_length=50)
    profile_fields = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="All fields of the profile as they were when the job was requested, whatever the settings are now.",
    )
    automatic = models.BooleanField(default=True, help_text="Requested by a signal or a tick, not by a person.")
    priority = models.CharField(
        max_length=8,
        choices=choices(JobPriority),
        default=JobPriority.UPLOAD.value,
        db_default=JobPriority.UPLOAD.value,
        help_text="Jobs of uploads are submitted before those of bulk requests; a job's retries come before both.",
    )
    state = models.CharField(max_length=12, choices=choices(JobState), default=JobState.QUEUED.value)
    fence = models.PositiveIntegerField(default=0, help_text="Number of the newest attempt.")
    budget_from = models.PositiveIntegerField(
        default=0, help_text="Attempts up to this number no longer count, because the job was revived after them."
    )
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    reason = models.CharField(max_length=50, blank=True)
    reason_message = models.TextField(blank=True)
    reason_details = models.JSONField(
        null=True, blank=True, editable=False, help_text="What the message needs in other languages than English."
    )
    plan = models.JSONField(
        null=True, blank=True, help_text="What the containers do. Removed when the ended job is pruned."
    )
    engine = models.CharField(max_length=64, blank=True, db_default="", help_text="Engine id of the plan.")
    encode_cost_s = models.FloatField(
        null=True, blank=True, help_text="Estimated CPU seconds of all units; empty before the plan."
    )
    playlist_key = models.CharField(max_length=500, blank=True, help_text="Storage name of the master playlist.")
    edition_key = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="Storage name of the master playlist of its newest edition; empty without one.",
    )
    poster_key = models.CharField(max_length=500, blank=True)
    warnings = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="Warnings about the source, for its page.",
    )
    chapters = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="Chapters of the output, as in the manifest, for its page.",
    )
    transcript = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="Automatic captions of the publication, until the edit tick has made a row of them.",
    )
    duration_s = models.FloatField(null=True, blank=True, help_text="Length of the output, by the plan.")
    source_playable_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the plan showed that browsers can play the source as it is; empty if they cannot.",
    )
    playable_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the outbox got `video.playable` because of it; empty if the video could be watched before.",
    )
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    tallied = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Whether the counters include its end."
    )
    traceparent = models.CharField(
        max_length=55,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The trace of the request, in the format of W3C Trace Context; empty without OpenTelemetry.",
    )
    superseded_at = models.DateTimeField(
        null=True, blank=True, help_text="Set once a newer job of the video has succeeded."
    )
    pruned_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When its plan, its units and the objects of superseded leases were removed.",
    )
    purged_at = models.DateTimeField(null=True, blank=True, help_text="When all of its objects were removed.")
    purge_failed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When pruning or purging it last failed; others are tried first.",
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in JobState]), name="job_state_known"),
            models.CheckConstraint(condition=Q(priority__in=[p.value for p in JobPriority]), name="job_priority_known"),
            models.UniqueConstraint(
                fields=["video"], condition=Q(state__in=values_of(ACTIVE_JOB_STATES)), name="one_active_job_per_video"
            ),
            models.UniqueConstraint(
                fields=["video", "source_name", "profile"],
                condition=Q(automatic=True),
                name="one_automatic_job_per_source",
            ),
            models.CheckConstraint(
                condition=Q(next_attempt_at__isnull=True) | Q(state__in=["QUEUED", "RETRY_WAIT"]),
                name="due_only_when_waiting",
            ),
            models.CheckConstraint(
                condition=~Q(state="RETRY_WAIT") | Q(next_attempt_at__isnull=False), name="retry_wait_has_due_time"
            ),
            models.CheckConstraint(
                condition=~Q(state="SUCCEEDED") | Q(finished_at__isnull=False) & ~Q(playlist_key=""),
                name="succeeded_has_playlist",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["FAILED", "DEAD", "CANCELLED"]) | ~Q(reason=""), name="ended_has_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="job_due"),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False, priority="upload"),
                name="job_due_before_bulk",
            ),
            models.Index(
                fields=["finished_at"],
                condition=Q(state__in=["CANCELLED", "FAILED", "SUCCEEDED"], pruned_at=None, purged_at=None),
                name="job_unpruned",
            ),
            models.Index(
                fields=["finished_at"],
                condition=Q(state="DEAD", pruned_at=None, purged_at=None),
                name="job_dead_unpruned",
            ),
            models.Index(fields=["superseded_at"], condition=Q(purged_at=None), name="job_superseded"),
            # Lists of the admin, and their filters.
            models.Index(fields=["-created_at"], name="job_newest"),
            models.Index(fields=["state", "-created_at"], name="job_state_newest"),
            models.Index(fields=["reason", "-created_at"], name="job_reason_newest"),
            models.Index(
                fields=["state", "priority", "created_at"],
                condition=Q(state__in=values_of(OPEN_JOB_STATES)),
                name="job_open",
            ),
            models.Index(
                fields=["-priority", "created_at"],
                condition=Q(state__in=["QUEUED", "RUNNING"], fence__gt=0),
                name="job_with_container",
            ),
            models.Index(
                fields=["finished_at"],
                condition=Q(tallied=False, finished_at__isnull=False),
                name="job_untallied",
            ),
            # The operators' page.
            models.Index(fields=["finished_at"], condition=Q(state="SUCCEEDED"), name="job_ready"),
            models.Index(
                fields=["finished_at", "reason"], condition=Q(state__in=["DEAD", "FAILED"]), name="job_failed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"

    @property
    def shown_playlist_key(self) -> str:
        """Storage name of the master playlist that is shown: that of its newest edition, or its own."""
        return self.edition_key or self.playlist_key


class Edition(models.Model):
    """Playlists of a published job with the captions and chapters that people added.

    Its row comes before its first object, so no object is without a row, and nothing of it changes afterwards.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="editions")
    folder = models.CharField(max_length=500, help_text="Storage folder of its playlists.")
    edit = models.PositiveIntegerField(help_text="`newest_edit` of the video that it has.")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="When a newer one replaced it, or it failed. Empty for one that is shown."
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["ended_at"], name="edition_ended")]

    def __str__(self) -> str:
        return f"edition {self.edit} of {self.job_id}"


class Operations(Job):
    """The jobs of the whole site, for the admin: Django lists only pages of models there."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "operations"
        verbose_name_plural = "operations"
