"""Job definitions of real containers that have something more in their environment."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from tasks.batch.definition import render
from tasks.conf import bridge_settings
from tests.integration.fast_settings import QUICK

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient


def define_containers(batch: BatchClient, **environment: str) -> str:
    """Register a definition as the code renders it, with the quick settings and this in the environment; its name."""
    name = f"with-{uuid.uuid4().hex[:8]}"
    definition = render(bridge_settings(), region=batch.meta.region_name) | {"jobDefinitionName": name}
    definition["containerProperties"]["environment"] += [
        {"name": name, "value": value} for name, value in {"BATCHREEL": json.dumps(QUICK), **environment}.items()
    ]
    batch.register_job_definition(**definition)
    return name
