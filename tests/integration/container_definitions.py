"""Job definitions of real containers with additional environment variables."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from tasks.batch.definition import render
from tasks.conf import bridge_settings
from tests.integration.fast_settings import FAST_SETTINGS

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient


def define_containers(batch: BatchClient, **environment: str) -> str:
    """Register a definition as the code renders it, with the fast settings and `environment`, and return its name."""
    name = f"with-{uuid.uuid4().hex[:8]}"
    definition = render(bridge_settings(), region=batch.meta.region_name) | {"jobDefinitionName": name}
    definition["containerProperties"]["environment"] += [
        {"name": name, "value": value}
        for name, value in {"BATCHREEL": json.dumps(FAST_SETTINGS), **environment}.items()
    ]
    batch.register_job_definition(**definition)
    return name
