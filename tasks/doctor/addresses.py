"""Names and addresses of what the probes wait for, without any login, for a probe that has waited in vain.

Nothing here connects to anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from django.conf import settings
from django.core.files.storage import FileSystemStorage

from ..broker.client import broker_connection
from ..storage.aliases import storages_by_name

if TYPE_CHECKING:
    from collections.abc import Iterator


def database() -> Iterator[str]:
    """Yield the address of the database."""
    about = settings.DATABASES["default"]
    host = about.get("HOST") or "its local socket"
    yield f"PostgreSQL at {host}{f':{port}' if (port := about.get('PORT')) else ''}"


def broker() -> Iterator[str]:
    """Yield the address of each server of the broker, or of each sentinel."""
    connection = broker_connection(timeout_s=1)
    for url in connection.alt or [connection.as_uri()]:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        yield f"the broker at {parts.scheme}://{parts.hostname or '127.0.0.1'}{port}"


def ticks() -> Iterator[str]:
    """Yield what the check of the ticks reads."""
    yield from database()
    yield from broker()


def storage() -> Iterator[str]:
    """Yield the address of each storage."""
    for name, each in storages_by_name().items():
        yield f"the storage {name} at {_place(each)}"


def _place(each: Any) -> str:
    if isinstance(each, FileSystemStorage):
        return str(each.location)
    if hasattr(each, "bucket_name"):  # django-storages
        return f"{each.connection.meta.client.meta.endpoint_url}, bucket {each.bucket_name}"
    return type(each).__name__


def container() -> Iterator[str]:
    """Yield what a container needs."""
    yield from database()
    yield from storage()


def batch() -> Iterator[str]:
    """Yield the address of AWS Batch."""
    yield f"AWS Batch at {_endpoint('batch')}"


def machines() -> Iterator[str]:
    """Yield the addresses for what describes the machines and the image."""
    yield from batch()
    yield f"EC2 at {_endpoint('ec2')}"
    yield f"ECR at {_endpoint('ecr')}"


def permissions() -> Iterator[str]:
    """Yield the addresses of all services that the site's role may call."""
    yield from batch()
    yield f"CloudWatch Logs at {_endpoint('logs')}"
    yield f"EC2 at {_endpoint('ec2')}"
    yield from storage()


def events() -> Iterator[str]:
    """Yield the addresses of the way of AWS Batch's events."""
    yield f"SQS at {_endpoint('sqs')}"
    yield f"EventBridge at {_endpoint('events')}"
    yield from database()


def _endpoint(service: str) -> str:
    return str(boto3.client(service).meta.endpoint_url)  # type: ignore[call-overload]  # one of a few literal names
