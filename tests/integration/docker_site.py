"""A site with real containers: an image built by a Docker engine, and uploads and publications in a bucket."""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any

import boto3
from django.conf import settings

from tasks.batch.definition import render
from tasks.conf import BridgeSettings
from tests.integration.fast_settings import FAST_SETTINGS

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

DOCKER_FAST_SETTINGS: dict[str, Any] = {**FAST_SETTINGS, "memory_mib": 2048}
"""The memory of a real container is limited, that of a process is not."""


def register_docker_definition(batch: BatchClient, *, image: str, bucket: str) -> str:
    """Register a definition as the code renders it for the image, and return its name."""
    name = f"docker-{uuid.uuid4().hex[:8]}"
    definition = render(
        BridgeSettings(**DOCKER_FAST_SETTINGS, job_definition=name, image=image), region=batch.meta.region_name
    )
    definition["containerProperties"]["environment"] += [
        {"name": "BATCHREEL", "value": json.dumps(DOCKER_FAST_SETTINGS)},
        {"name": "STORAGE_BUCKET", "value": bucket},
        {"name": "STORAGE_ENDPOINT_URL", "value": os.environ["AWS_ENDPOINT_URL"]},
    ]
    batch.register_job_definition(**definition)
    return name


def make_bucket() -> str:
    """Create a bucket for this test, and return its name."""
    name = f"videos-{uuid.uuid4().hex[:8]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


def bucket_storages(bucket: str) -> dict[str, Any]:
    """Return the STORAGES setting of a site with this bucket."""
    options = {"bucket_name": bucket, "endpoint_url": os.environ["AWS_ENDPOINT_URL"], "file_overwrite": False}
    return {**settings.STORAGES, "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}}
