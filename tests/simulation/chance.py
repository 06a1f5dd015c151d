"""Ids and jitter that follow from a seed, so that the same draws give the same history."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

from tasks.models import Job, Video

if TYPE_CHECKING:
    import pytest


def seed_chance(seed: int, patching: pytest.MonkeyPatch) -> None:
    """Derive ids from the seed until `patching` is undone, and all later jitter of this process."""
    ids = random.Random(seed)  # histories, not secrets

    def next_id() -> uuid.UUID:
        return uuid.UUID(int=ids.getrandbits(128), version=4)

    random.seed(seed)
    for model in (Video, Job):
        patching.setattr(model._meta.get_field("id"), "_get_default", next_id)
    patching.setattr(uuid, "uuid4", next_id)
