"""Buckets of the local endpoint, as Django's default storage."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import boto3

from tasks.storage.bucket import client_config

if TYPE_CHECKING:
    from pytest_django import Settings


def use_new_bucket(settings: Settings) -> tuple[Any, str]:
    """Create a private bucket, use it as default storage, and return an S3 client and its name."""
    s3, name = new_bucket()
    use_bucket(settings, name)
    return s3, name


def new_bucket() -> tuple[Any, str]:
    """Create a private bucket and return an S3 client and the bucket's name."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=name)
    return s3, name


def use_bucket(settings: Settings, name: str) -> None:
    """Use the bucket with this name as default storage."""
    options = {"bucket_name": name, "file_overwrite": False, "default_acl": None, "client_config": client_config()}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options},
    }
