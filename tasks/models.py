"""Columns and constraints, no behaviour. What must never be false about the rows, the database itself refuses."""

from __future__ import annotations

import enum
import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from tasks.lifecycle.states import (
    ACTIVE_JOB_STATES,
    LIVE_ATTEMPT_STATES,
    AttemptState,
    JobState,
    UnitKind,
    UnitState,
)
from tasks.video_queryset import VideoQuerySet


def source_path(video: Video, filename: str) -> str:
    """Where an upload is stored: never the same name twice, so a name identifies a version of the source."""
    return f"sources/{video.pk}/{uuid.uuid4().hex[:12]}/{filename}"


def _choices(states: type[enum.StrEnum]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


def _sorted(states: frozenset[Any]) -> list[str]:
    return sorted(state.value for state in states)


class Video(models.Model):
    """What a person uploaded. Its status is derived (tasks.lifecycle.video_status), never stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200, blank=True)
    source = models.FileField(upload_to=source_path, max_length=500)
    source_complete = models.BooleanField(
        default=True, help_text="False while a direct upload to the storage is under way."
    )
    published_job = models.ForeignKey("Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    purge_tried_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Its purge failed then; others go first."
    )

    objects = VideoQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="video_deleted")]

    def __str__(self) -> str:
        return self.title or str(self.pk)

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:  # noqa: FBT001, FBT002 - Django's signature
        """Mark as deleted; see VideoQuerySet.delete."""
        return Video.objects.filter(pk=self.pk).delete()


class Job(models.Model):
    """The durable wish: make this version of this video playable with this profile."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    video = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="jobs")
    source_name = models.CharField(max_length=500, help_text="Storage name of the source: the version of the video.")
    profile = models.CharField(max_length=50)
    automatic = models.BooleanField(default=True, help_text="Asked for by a signal or a tick, not by a person.")
    state = models.CharField(max_length=12, choices=_choices(JobState), default=JobState.QUEUED)
    fence = models.PositiveIntegerField(default=0, help_text="Number of the newest attempt.")
    budget_from = models.PositiveIntegerField(
        default=0, help_text="Attempts up to this number no longer count: the job was revived after them."
    )
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    reason = models.CharField(max_length=50, blank=True)
    reason_text = models.TextField(blank=True)
    plan = models.JSONField(null=True, blank=True)
    manifest = models.JSONField(null=True, blank=True)
    manifest_key = models.CharField(max_length=500, blank=True, help_text="Storage name of the master playlist.")
    poster_key = models.CharField(max_length=500, blank=True)
    level = models.PositiveSmallIntegerField(null=True, blank=True, help_text="0 is a preview, 1 the full ladder.")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    superseded_at = models.DateTimeField(null=True, blank=True, help_text="When a newer job had succeeded.")
    tidied_at = models.DateTimeField(null=True, blank=True, help_text="When objects of losing fences were removed.")
    purged_at = models.DateTimeField(null=True, blank=True, help_text="When all its objects were removed.")
    purge_tried_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Tidying or purging it failed then; others go first."
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in JobState]), name="job_state_known"),
            models.UniqueConstraint(
                fields=["video"], condition=Q(state__in=_sorted(ACTIVE_JOB_STATES)), name="one_active_job_per_video"
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
                condition=~Q(state="SUCCEEDED") | (Q(manifest__isnull=False) & ~Q(manifest_key="")),
                name="succeeded_has_manifest",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["FAILED", "DEAD", "CANCELLED"]) | ~Q(reason=""), name="ended_has_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="job_due"),
            models.Index(
                fields=["finished_at"],
                condition=Q(state__in=["CANCELLED", "FAILED", "SUCCEEDED"], tidied_at=None, purged_at=None),
                name="job_untidied",
            ),
            models.Index(fields=["superseded_at"], condition=Q(purged_at=None), name="job_superseded"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"


class Attempt(models.Model):
    """One container run for a job: one Batch job. Its number is its fence."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=_choices(AttemptState), default=AttemptState.SUBMITTING)
    reason = models.CharField(max_length=50, blank=True)
    reason_text = models.TextField(blank=True)
    charged = models.BooleanField(
        null=True, blank=True, help_text="Empty: open until Batch's verdict or the wait for it ends."
    )
    vcpus = models.PositiveSmallIntegerField()
    memory_mib = models.PositiveIntegerField()
    # Submitting.
    batch_job_name = models.CharField(max_length=128, unique=True)
    batch_job_id = models.CharField(max_length=64, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    submit_called_at = models.DateTimeField(
        null=True, blank=True, help_text="When SubmitJob was last about to be called."
    )
    submit_at = models.DateTimeField(
        null=True, blank=True, help_text="SubmitJob did not take effect: call it (again) from here on."
    )
    looked_at = models.DateTimeField(null=True, blank=True, help_text="Last look for the Batch job by its name.")
    empty_looks = models.PositiveSmallIntegerField(default=0)
    # What the container says.
    claim_id = models.UUIDField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    progressed_at = models.DateTimeField(null=True, blank=True, help_text="When (stage, count) last changed.")
    stage = models.CharField(max_length=20, blank=True)
    count = models.PositiveBigIntegerField(default=0, help_text="Grows with any progress within the stage.")
    encoded_frames = models.PositiveBigIntegerField(
        default=0, help_text="Work done in all, in frames, units in flight included."
    )
    exit_code = models.SmallIntegerField(null=True, blank=True)
    in_work = models.JSONField(
        default=list, blank=True, help_text="Names of the units that it held when it ended without finishing them."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    # What AWS says (the observation).
    batch_status = models.CharField(max_length=12, blank=True)
    batch_status_reason = models.TextField(blank=True)
    batch_log_stream = models.CharField(max_length=512, blank=True)
    batch_changed_at = models.DateTimeField(null=True, blank=True, help_text="When the observation last changed.")
    absences = models.PositiveSmallIntegerField(
        default=0, help_text="Answers in a row in which the Batch job was missing."
    )

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in AttemptState]), name="attempt_state_known"),
            models.UniqueConstraint(fields=["job", "number"], name="one_attempt_per_fence"),
            models.UniqueConstraint(fields=["batch_job_id"], name="one_attempt_per_batch_job"),
            models.CheckConstraint(
                condition=Q(state__in=_sorted(LIVE_ATTEMPT_STATES), ended_at__isnull=True)
                | Q(ended_at__isnull=False) & ~Q(state__in=_sorted(LIVE_ATTEMPT_STATES)),
                name="live_attempt_has_no_end",
            ),
            models.CheckConstraint(
                condition=~Q(state="RUNNING") | Q(heartbeat_at__isnull=False), name="running_has_heartbeat"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["FAILED", "LOST", "CANCELLED"]) | ~Q(reason=""), name="attempt_ended_has_reason"
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="attempt_number_from_one"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=_sorted(LIVE_ATTEMPT_STATES)), name="attempt_live"),
            models.Index(
                fields=["ended_at"],
                condition=Q(charged__isnull=True, ended_at__isnull=False),
                name="attempt_charge_open",
            ),
            models.Index(
                fields=["ended_at"],
                condition=Q(batch_job_id__isnull=False, ended_at__isnull=False)
                & ~Q(batch_status__in=["FAILED", "SUCCEEDED"]),
                name="attempt_without_last_word",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} #{self.number} {self.state}"


class Unit(models.Model):
    """A piece of a job's work that one container does in one go: the plan, a stretch of video, the audio, the publishing."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="units")
    kind = models.CharField(max_length=8, choices=_choices(UnitKind))
    index = models.PositiveIntegerField(default=0)
    first_frame = models.PositiveBigIntegerField(default=0)
    end_frame = models.PositiveBigIntegerField(default=0, help_text="The frame after the last one.")
    weight_frames = models.PositiveBigIntegerField(default=0, help_text="Share of the job's progress.")
    state = models.CharField(max_length=8, choices=_choices(UnitState), default=UnitState.PENDING)
    fence = models.PositiveIntegerField(default=0, help_text="Grows at each lease.")
    repairs = models.PositiveSmallIntegerField(
        default=0, help_text="How often a failed verify sent it back since the job was asked for or revived."
    )
    attempt = models.ForeignKey(
        Attempt,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="units",
        help_text="Who holds it, or did it.",
    )
    lease_id = models.CharField(max_length=32, blank=True)
    output = models.JSONField(null=True, blank=True)
    leased_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["job", "kind", "index"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in UnitState]), name="unit_state_known"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in UnitKind]), name="unit_kind_known"),
            models.UniqueConstraint(fields=["job", "kind", "index"], name="one_unit_per_place"),
            models.CheckConstraint(
                condition=~Q(state="LEASED") | (~Q(lease_id="") & Q(fence__gte=1)), name="leased_has_lease"
            ),
            models.CheckConstraint(condition=~Q(state="DONE") | Q(done_at__isnull=False), name="done_has_time"),
            models.CheckConstraint(condition=Q(end_frame__gte=F("first_frame")), name="unit_frames_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.kind} {self.index} {self.state}"


class Event(models.Model):
    """An append-only row: what happened, to which job and attempt, and why. Plain ids, so it outlives the rows it tells of."""

    created_at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=50)
    video_id = models.UUIDField(null=True, blank=True)
    job_id = models.UUIDField(null=True, blank=True)
    attempt_number = models.PositiveIntegerField(null=True, blank=True)
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12, blank=True)
    reason = models.CharField(max_length=50, blank=True)
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["job_id", "id"], name="event_job"),
            models.Index(fields=["video_id", "id"], name="event_video"),
            models.Index(fields=["kind", "id"], name="event_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.job_id or ''}"


class Tick(models.Model):
    """The lease row of one beat task: it keeps the tick single, and tells when it last ran and what went wrong."""

    name = models.CharField(max_length=30, primary_key=True)
    fence = models.PositiveBigIntegerField(default=0, help_text="Number of ticks so far.")
    leased_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    unbroken_since = models.DateTimeField(null=True, blank=True, help_text="Start of the unbroken run of ticks.")
    trouble = models.CharField(max_length=50, blank=True, help_text="Code of the trouble that the last tick met.")
    trouble_text = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name


class TokenBucket(models.Model):
    """A rate shared by all workers: calls to an AWS API that has a limit for the account."""

    name = models.CharField(max_length=30, primary_key=True)
    tokens = models.FloatField()
    refilled_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name}: {self.tokens:.1f}"
