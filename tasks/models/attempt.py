"""The row of an attempt: what was asked of Batch, what the container says, and what AWS says."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ..lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState
from .choices import choices, values_of
from .job import Job


class Attempt(models.Model):
    """One container run for a job: one Batch job. Its number is its fence."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=choices(AttemptState), default=AttemptState.SUBMITTING.value)
    reason = models.CharField(max_length=50, blank=True)
    reason_message = models.TextField(blank=True)
    counted = models.BooleanField(
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
    lookup_at = models.DateTimeField(null=True, blank=True, help_text="Last look for the Batch job by its name.")
    lookup_misses = models.PositiveSmallIntegerField(default=0)
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
    units_in_progress = models.JSONField(
        default=list, blank=True, help_text="Names of the units that it held when it ended without finishing them."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    # What AWS says (the observation).
    batch_status = models.CharField(max_length=12, blank=True)
    batch_status_reason = models.TextField(blank=True)
    batch_log_stream = models.CharField(max_length=512, blank=True)
    batch_status_at = models.DateTimeField(null=True, blank=True, help_text="When the observation last changed.")
    missing_answers = models.PositiveSmallIntegerField(
        default=0, help_text="Answers in a row in which the Batch job was missing."
    )

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in AttemptState]), name="attempt_state_known"),
            models.UniqueConstraint(fields=["job", "number"], name="one_attempt_per_fence"),
            models.UniqueConstraint(fields=["batch_job_id"], name="one_attempt_per_batch_job"),
            models.CheckConstraint(
                condition=Q(state__in=values_of(LIVE_ATTEMPT_STATES), ended_at__isnull=True)
                | Q(ended_at__isnull=False) & ~Q(state__in=values_of(LIVE_ATTEMPT_STATES)),
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
            models.Index(fields=["id"], condition=Q(state__in=values_of(LIVE_ATTEMPT_STATES)), name="attempt_live"),
            models.Index(
                fields=["ended_at"],
                condition=Q(counted__isnull=True, ended_at__isnull=False),
                name="attempt_undecided",
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
