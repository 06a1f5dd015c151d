"""The unit's row."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from ..lifecycle.states import UnitKind, UnitState
from .attempt import Attempt
from .choices import choices
from .job import Job


class Unit(models.Model):
    """Part of a job that one container processes in one go: the plan, a section of video, the audio, publishing."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="units")
    kind = models.CharField(max_length=8, choices=choices(UnitKind))
    index = models.PositiveIntegerField(default=0)
    first_frame = models.PositiveBigIntegerField(default=0)
    end_frame = models.PositiveBigIntegerField(default=0, help_text="The frame after the last one.")
    weight_frames = models.PositiveBigIntegerField(default=0, help_text="Weight in the job's progress, in frames.")
    state = models.CharField(max_length=8, choices=choices(UnitState), default=UnitState.PENDING.value)
    fence = models.PositiveIntegerField(default=0, help_text="Increases with each lease.")
    redo_count = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="Redos after a failed verification since the job was requested or revived.",
    )
    attempt = models.ForeignKey(
        Attempt,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="units",
        help_text="The attempt that holds or finished it.",
    )
    lease_id = models.CharField(max_length=32, blank=True)
    output = models.JSONField(
        null=True,
        blank=True,
        help_text="What publishing needs of it. The rows of units go when the ended job is pruned.",
    )
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
