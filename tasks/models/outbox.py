"""The outbox: events for receivers outside of Batchreel, and their deliveries."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ..lifecycle.states import Channel, DeliveryState, OutboxKind
from .choices import choices


class OutboxSequence(models.Model):
    """The number of a video's last event in the outbox. Its row lock gives them the order of their commits."""

    video_id = models.UUIDField(primary_key=True)
    last = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.video_id} {self.last}"


class OutboxEvent(models.Model):
    """An event for receivers outside. Plain ids, so it outlives the rows of its video."""

    event_id = models.UUIDField(
        default=uuid.uuid4, unique=True, editable=False, help_text="The same in each delivery of this event."
    )
    kind = models.CharField(max_length=30, choices=choices(OutboxKind))
    video_id = models.UUIDField()
    sequence = models.PositiveIntegerField(help_text="Counts the events of the video, from 1.")
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(
        null=True, blank=True, help_text="When its deliveries were created; empty until then."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["video_id", "sequence"], name="one_outbox_event_per_number"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(dispatched_at=None), name="outbox_undispatched"),
            models.Index(fields=["created_at"], name="outbox_created"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.video_id}"


class WebhookEndpoint(models.Model):
    """A receiver of webhooks, outside of this site. Secrets are stored encrypted."""

    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    kinds = models.JSONField(default=list, help_text="Kinds of events that it receives.")
    enabled = models.BooleanField(default=True)
    secret = models.TextField(editable=False)
    old_secret = models.TextField(blank=True, db_default="", editable=False)
    old_secret_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when the secret before is valid too."
    )
    failing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The first failure since the last success."
    )
    failures = models.PositiveIntegerField(default=0, db_default=0, editable=False, help_text="Failures in a row.")
    disabled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the site disabled it; empty if a person did."
    )
    disabled_reason = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.description or self.url


class Delivery(models.Model):
    """One event on its way to one receiver: how often it was tried, and how the last try ended."""

    event = models.ForeignKey(OutboxEvent, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=8, choices=choices(Channel))
    endpoint = models.ForeignKey(
        WebhookEndpoint, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    target = models.CharField(max_length=40, help_text="Receiver, within which a video's events keep their order.")
    video_id = models.UUIDField()
    state = models.CharField(max_length=10, choices=choices(DeliveryState), default=DeliveryState.PENDING.value)
    again = models.BooleanField(
        default=False, db_default=False, help_text="Sent again by a person: outside of the order of the video's events."
    )
    tries = models.PositiveIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    give_up_at = models.DateTimeField(null=True, blank=True, help_text="Set at the first try.")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status of the last try.")
    duration_s = models.FloatField(null=True, blank=True, help_text="Seconds that the last try took.")
    error = models.CharField(max_length=300, blank=True, db_default="", help_text="Why the last try failed.")
    response = models.CharField(
        max_length=500, blank=True, db_default="", help_text="Beginning of the response's body."
    )

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event", "target"], name="one_delivery_per_event_and_target"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in DeliveryState]), name="delivery_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="PENDING", next_try_at__isnull=False, ended_at=None)
                | Q(state__in=["DELIVERED", "GIVEN_UP"], next_try_at=None, ended_at__isnull=False),
                name="delivery_is_due_until_it_ends",
            ),
            models.CheckConstraint(
                condition=Q(channel="webhook", endpoint__isnull=False) | (~Q(channel="webhook") & Q(endpoint=None)),
                name="webhook_has_endpoint",
            ),
        ]
        indexes = [
            models.Index(fields=["channel", "next_try_at"], condition=Q(state="PENDING"), name="delivery_due"),
            models.Index(fields=["target", "video_id", "event"], condition=Q(state="PENDING"), name="delivery_order"),
            models.Index(fields=["state", "-id"], name="delivery_state_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.target} {self.event_id}"
