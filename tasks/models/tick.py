"""State that the workers share between ticks: who runs a tick, and which owner is served next."""

from __future__ import annotations

from django.db import models


class Tick(models.Model):
    """Lease row of one beat task. It prevents concurrent runs, and records when the tick last ran and its error."""

    name = models.CharField(max_length=30, primary_key=True)
    fence = models.PositiveBigIntegerField(default=0, help_text="Number of ticks so far.")
    leased_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last tick without an error finished."
    )
    continuous_since = models.DateTimeField(
        null=True, blank=True, help_text="Start of the current series of ticks without a gap."
    )
    position = models.TextField(
        blank=True, default="", db_default="", help_text="Where the next tick continues; empty for the beginning."
    )
    error_code = models.CharField(max_length=50, blank=True, help_text="Code of the error that ended the last tick.")
    error_message = models.TextField(blank=True)
    failures = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Number of ticks so far that ended with an error, or were killed."
    )

    def __str__(self) -> str:
        return self.name


class GrantCounter(models.Model):
    """The single row that all grants lock: how many there were, and how much the job queue can run."""

    name = models.CharField(max_length=30, primary_key=True)
    granted = models.PositiveBigIntegerField(default=0, help_text="Number of attempts granted so far.")
    queue_vcpus = models.PositiveIntegerField(
        null=True, blank=True, help_text="vCPUs that the job queue's compute environments may have. Empty if unknown."
    )
    queue_read_at = models.DateTimeField(null=True, blank=True, help_text="When AWS was last asked for them.")

    def __str__(self) -> str:
        return f"{self.name}: {self.granted}"


class OwnerTurn(models.Model):
    """When an owner's jobs of one turn (`tasks.lifecycle.turns`) were last served. One row for each owner and turn."""

    owner = models.CharField(max_length=64, help_text="Primary key of the owner as text; empty for videos without one.")
    turn = models.CharField(max_length=8)
    number = models.PositiveBigIntegerField(help_text="Number of the grant, as in GrantCounter.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "turn"], name="one_row_per_owner_and_turn")]

    def __str__(self) -> str:
        return f"{self.turn} of {self.owner or 'nobody'}: {self.number}"
