"""The attempt's row: what was submitted to Batch, what the container reports, and what AWS reports."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from ..lifecycle.states import LIVE_ATTEMPT_STATES, WAITING_STAGES, AttemptState
from .choices import choices, values_of
from .job import Job


class Attempt(models.Model):
    """One container run for a job, which is one Batch job. Its number is its fence (a fencing token)."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    helps = models.PositiveIntegerField(
        null=True, blank=True, help_text="Number of the lead that this attempt helps; empty for a lead."
    )
    on_demand = models.BooleanField(
        default=False, db_default=False, help_text="Whether it was submitted to the queue of On-Demand machines."
    )
    state = models.CharField(max_length=12, choices=choices(AttemptState), default=AttemptState.SUBMITTING.value)
    reason = models.CharField(max_length=50, blank=True)
    reason_message = models.TextField(blank=True)
    counted = models.BooleanField(
        null=True,
        blank=True,
        help_text="Empty while undecided: until Batch's final status, or until the wait for it is over.",
    )
    vcpus = models.PositiveSmallIntegerField()
    memory_mib = models.PositiveIntegerField()
    timeout_s = models.PositiveIntegerField(help_text="Seconds from its start after which AWS Batch terminates it.")
    # Submission.
    batch_job_name = models.CharField(max_length=128, unique=True)
    batch_job_id = models.CharField(max_length=64, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    submit_called_at = models.DateTimeField(
        null=True, blank=True, help_text="Written just before each call of SubmitJob."
    )
    submit_at = models.DateTimeField(
        null=True, blank=True, help_text="SubmitJob has not taken effect: when to call it (again)."
    )
    lookup_at = models.DateTimeField(
        null=True, blank=True, help_text="When the Batch job was last looked up by its name."
    )
    lookup_misses = models.PositiveSmallIntegerField(default=0)
    # Reported by the container.
    claim_id = models.UUIDField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    held_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When rescue last spared it, because many containers were silent at once.",
    )
    progressed_at = models.DateTimeField(null=True, blank=True, help_text="When (stage, count) last changed.")
    stage = models.CharField(max_length=20, blank=True)
    count = models.PositiveBigIntegerField(default=0, help_text="Increases with any progress within the stage.")
    encoded_frames = models.PositiveBigIntegerField(
        default=0, help_text="Total work done, in frames, including units in progress."
    )
    units_done = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Video and audio units that it finished."
    )
    finished_work_s = models.FloatField(
        default=0, db_default=0, help_text="Seconds for which it held the units that it finished, added up."
    )
    lost_work_s = models.FloatField(
        default=0, db_default=0, help_text="Seconds for which it held the units that it had not finished when it ended."
    )
    machine_id = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        help_text="The kernel's boot id: the same for all containers of a machine until it restarts.",
    )
    ec2_instance_id = models.CharField(
        max_length=32, blank=True, db_default="", help_text="Id of the EC2 machine that runs the container, if known."
    )
    leaving_at = models.DateTimeField(
        null=True, blank=True, help_text="When EC2 announced that it takes the machine back: the container leaves."
    )
    scratch_mib = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="MiB of its machine's disk that it holds, or waits for in the stage `reserve`.",
    )
    error_code = models.CharField(
        max_length=50,
        blank=True,
        db_default="",
        help_text="The code of a suspicion: why this machine could not read the file, or that its encoder crashed.",
    )
    exit_code = models.SmallIntegerField(null=True, blank=True)
    units_in_progress = models.JSONField(
        default=list, blank=True, help_text="Names of the units that it held, unfinished, when it ended."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    terminate_called_at = models.DateTimeField(
        null=True, blank=True, help_text="When TerminateJob was last called because the attempt had ended."
    )
    tallied = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Whether the counters include its end."
    )
    # Reported by AWS (the observation).
    batch_status = models.CharField(max_length=12, blank=True)
    batch_status_reason = models.TextField(blank=True)
    batch_log_stream = models.CharField(max_length=512, blank=True)
    batch_status_at = models.DateTimeField(null=True, blank=True, help_text="When the observation last changed.")
    no_capacity_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when AWS Batch has had no capacity for it."
    )
    missing_responses = models.PositiveSmallIntegerField(
        default=0, help_text="Consecutive responses in which the Batch job was missing."
    )
    started_at = models.DateTimeField(null=True, blank=True, help_text="When the container started.")
    stopped_at = models.DateTimeField(null=True, blank=True, help_text="When the container stopped.")
    machine_arn = models.CharField(
        max_length=512,
        blank=True,
        db_default="",
        help_text="The machine: ECS's container instance, or only its cluster if AWS names none.",
    )
    # What it cost. Written by the cost tick: the machine while it is known to ECS, the price once at the end.
    instance_type = models.CharField(max_length=32, blank=True, db_default="")
    availability_zone = models.CharField(max_length=32, blank=True, db_default="")
    purchase = models.CharField(
        max_length=12, blank=True, db_default="", help_text="How the machine is paid for; empty if unknown."
    )
    price_vcpu_h_usd = models.DecimalField(
        max_digits=12, decimal_places=8, null=True, blank=True, help_text="Price of a vCPU for an hour, in US dollars."
    )
    price_source = models.CharField(max_length=12, blank=True, db_default="", help_text="Where that price comes from.")
    cost_usd = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        blank=True,
        help_text="From start to stop, times vCPUs, times price, in US dollars. Never changes once it is there.",
    )
    wasted_usd = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        blank=True,
        help_text="The part of it that brought no finished unit.",
    )
    wasted_by = models.CharField(
        max_length=8, blank=True, db_default="", help_text="What that part was lost to; empty for nothing."
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
            models.CheckConstraint(
                condition=Q(helps__isnull=True) | Q(helps__gte=1, helps__lt=F("number")), name="helper_follows_its_lead"
            ),
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
                name="attempt_without_final_status",
            ),
            models.Index(
                fields=["-ended_at"],
                condition=Q(claimed_at__isnull=False, ended_at__isnull=False) & ~Q(stage__in=WAITING_STAGES),
                name="attempt_worked",
            ),
            # Filters of the admin.
            models.Index(fields=["state", "-id"], name="attempt_state_newest"),
            models.Index(fields=["reason", "-id"], name="attempt_reason_newest"),
            models.Index(
                fields=["ended_at"],
                condition=Q(tallied=False, ended_at__isnull=False),
                name="attempt_untallied",
            ),
            models.Index(fields=["id"], condition=Q(cost_usd__isnull=True), name="attempt_without_cost"),
            models.Index(
                Coalesce("started_at", "claimed_at"), condition=Q(cost_usd__isnull=False), name="attempt_cost_by_start"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} #{self.number} {self.state}"

    @property
    def is_helper(self) -> bool:
        """Whether the attempt helps a lead."""
        return self.helps is not None

    @property
    def round(self) -> int:
        """Number of the lead of the attempt's round, which is its own for a lead."""
        return self.helps or self.number
