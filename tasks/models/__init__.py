"""Columns and constraints, without behaviour. Invariants of the rows are enforced by the database itself."""

from __future__ import annotations

from .attempt import Attempt
from .client_requests import DirectUpload, IdempotencyKey
from .cost import DayCost, Machine, MachinePrice
from .counter import Counter
from .event import Event
from .job import Edition, Job, Operations
from .listener import Listener
from .outbox import Delivery, OutboxEvent, OutboxSequence, WebhookEndpoint
from .tick import GrantCounter, OwnerTurn, Tick
from .unit import Unit
from .video import (
    MAX_DESCRIPTION_CHARS,
    NEEDS_EDITION,
    NEEDS_JOB,
    CaptionPurpose,
    Captions,
    ShareLink,
    Video,
    VideoQuerySet,
    Visibility,
    WatchPosition,
)

__all__ = [
    "MAX_DESCRIPTION_CHARS",
    "NEEDS_EDITION",
    "NEEDS_JOB",
    "Attempt",
    "CaptionPurpose",
    "Captions",
    "Counter",
    "DayCost",
    "Delivery",
    "DirectUpload",
    "Edition",
    "Event",
    "GrantCounter",
    "IdempotencyKey",
    "Job",
    "Listener",
    "Machine",
    "MachinePrice",
    "Operations",
    "OutboxEvent",
    "OutboxSequence",
    "OwnerTurn",
    "ShareLink",
    "Tick",
    "Unit",
    "Video",
    "VideoQuerySet",
    "Visibility",
    "WatchPosition",
    "WebhookEndpoint",
]
