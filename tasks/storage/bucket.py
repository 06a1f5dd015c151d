"""The bucket behind Django's default storage, for what a storage cannot do: uploads in parts, and addresses that work for a while.

It speaks S3 through the client that django-storages made, so S3, R2 and others need no settings but the storage's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import default_storage

from ..conf import bridge_settings

logger = logging.getLogger(__name__)

LEAST_PART_BYTES = 16 * 1024 * 1024
"""S3 takes parts from 5 MiB on; larger ones need fewer requests, smaller ones lose less where a connection breaks."""
MOST_PARTS = 10_000
"""Amazon S3, "Multipart upload limits". R2 has the same."""
LARGEST_OBJECT_BYTES = 5 * 1024**4
"""As above: 5 TiB."""

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_TRIES = 2
LONGEST_CALL_S = _TRIES * _READ_TIMEOUT_S
"""What one call through a client with `client_config` may take where nobody answers."""

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 16.0
_SERVER_ERROR = 500
_PASSING_STATUSES = frozenset({408, 429})
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown"})
"""Amazon S3, "Error responses": these are told as errors of the client's, and another try may succeed."""


class BucketError(OSError):
    """The bucket refused a call, or did not answer. The text is the bucket's own, for logs and operators."""

    code = "BUCKET"


class NoSuchUploadError(BucketError):
    """The multipart upload is complete already, was given up, or never was."""

    code = "NO_SUCH_UPLOAD"


def client_config(*, addressing_style: Literal["auto", "virtual", "path"] = "auto") -> Config:
    """How the storage's client calls: no longer than the stages of a container can wait for. The `client_config` of STORAGES takes it."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing_style},
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )


class RetryDeadline:
    """Waits out a bucket that does not answer. The error is raised after all once it has been away for `limit_s`, or where it says no.

    `wait` gets the seconds to wait; what it raises ends the waiting.
    """

    def __init__(self, limit_s: float, *, wait: Callable[[float], object]) -> None:
        self._limit_s, self._wait = limit_s, wait
        self.renew()

    def renew(self) -> None:
        """Something arrived: the limit counts from here."""
        self._since_s, self._pause_s = time.monotonic(), _FIRST_PAUSE_S

    def wait_or_raise(self, error: BucketError) -> None:
        """Wait before the next try. Raises the error where that would bring the same, or the limit is over."""
        if isinstance(error, _RejectedError) or time.monotonic() - self._since_s + self._pause_s > self._limit_s:
            raise error
        logger.warning("STORAGE_UNAVAILABLE %s: next try in %g s", error, self._pause_s)
        self._wait(self._pause_s)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that the bucket holds."""

    number: int
    etag: str
    size_bytes: int


class Bucket:
    """One bucket. Every method but `url` and `part_url` is a call to it, and raises BucketError."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._client = storage.connection.meta.client

    def begin_upload(self, key: str, *, content_type: str) -> str:
        """Begin an upload in parts; its id."""
        with bucket_errors():
            answer = self._client.create_multipart_upload(**self._place(key), ContentType=content_type)
            return str(answer["UploadId"])

    def part_url(self, key: str, upload_id: str, number: int) -> str:
        """The address to which a browser PUTs a part, for as long as `signed_url_ttl_s`."""
        parameters = {**self._place(key), "UploadId": upload_id, "PartNumber": number}
        return str(self._client.generate_presigned_url("upload_part", Params=parameters, ExpiresIn=_ttl_s()))

    def parts(self, key: str, upload_id: str) -> list[Part]:
        """The parts that the bucket holds, by number."""
        with bucket_errors():
            pages = self._client.get_paginator("list_parts").paginate(**self._place(key), UploadId=upload_id)
            return [
                Part(number=part["PartNumber"], etag=part["ETag"], size_bytes=part["Size"])
                for page in pages
                for part in page.get("Parts", [])
            ]

    def complete_upload(self, key: str, upload_id: str, parts: list[Part]) -> None:
        """Make one object of the parts."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        with bucket_errors():
            self._client.complete_multipart_upload(
                **self._place(key), UploadId=upload_id, MultipartUpload={"Parts": listed}
            )

    def give_up_upload(self, key: str, upload_id: str) -> None:
        """Let the bucket forget the parts. That it has is no error."""
        try:
            with bucket_errors():
                self._client.abort_multipart_upload(**self._place(key), UploadId=upload_id)
        except NoSuchUploadError:
            return

    def size_bytes(self, key: str) -> int | None:
        """The size of an object; None where there is none."""
        try:
            with bucket_errors():
                return int(self._client.head_object(**self._place(key))["ContentLength"])
        except _NoSuchObjectError:
            return None

    def read(self, key: str, *, block_bytes: int, patience: RetryDeadline) -> Iterator[bytes]:
        """The object in blocks. Where the connection breaks, it is read on from there, as long as patience lasts.

        Raises FileNotFoundError; and BucketError once nothing came for too long, or at once where the object became another one.
        """
        done_bytes, etag = 0, ""
        while True:
            rest = {"Range": f"bytes={done_bytes}-", "IfMatch": etag} if done_bytes else {}
            try:
                with bucket_errors():
                    answer = self._client.get_object(**self._place(key), **rest)
                    etag = answer["ETag"]
                    for block in answer["Body"].iter_chunks(block_bytes):
                        yield block
                        done_bytes += len(block)
                        patience.renew()
                    return
            except _NoSuchObjectError as error:
                raise FileNotFoundError(key) from error
            except BucketError as error:
                patience.wait_or_raise(error)

    def url(self, key: str) -> str:
        """The address at which anybody may GET the object, for as long as `signed_url_ttl_s`."""
        return str(self._storage.url(key, expire=_ttl_s()))

    def _place(self, key: str) -> dict[str, str]:
        located: str = self._storage._normalize_name(key)  # noqa: SLF001 - puts the storage's `location` in front, as for all its objects
        return {"Bucket": self._storage.bucket_name, "Key": located}


def _ttl_s() -> int:
    return round(bridge_settings().signed_url_ttl_s)


class _RejectedError(BucketError):
    """The bucket answered, and said no: another try would bring the same."""


class BucketDeniedError(_RejectedError):
    """The credentials may not do this."""

    code = "BUCKET_DENIED"


class _NoSuchObjectError(_RejectedError):
    """There is no object of this name."""


_ERRORS: Mapping[str, type[BucketError]] = {
    "NoSuchUpload": NoSuchUploadError,
    "404": _NoSuchObjectError,
    "NoSuchKey": _NoSuchObjectError,
    "403": BucketDeniedError,
    "AccessDenied": BucketDeniedError,
}
"""By S3's code; of a HEAD, by HTTP status."""


@contextmanager
def bucket_errors() -> Iterator[None]:
    """Turn the errors of a bucket's client into BucketError, which is an OSError as a folder's errors are."""
    try:
        yield
    except ClientError as error:
        code, status = (
            str(error.response["Error"].get("Code", "")),
            error.response["ResponseMetadata"]["HTTPStatusCode"],
        )
        passing = status >= _SERVER_ERROR or status in _PASSING_STATUSES or code in _PASSING_CODES
        otherwise = BucketError if passing else _RejectedError
        raise _ERRORS.get(code, otherwise)(str(error)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise BucketError(str(error)) from error


def default_bucket() -> Bucket | None:
    """The default storage's bucket; None where the storage is no bucket, such as a folder on a laptop."""
    return Bucket(default_storage) if hasattr(default_storage, "bucket_name") else None


def part_bytes_for(size_bytes: int) -> int:
    """The size of parts for a file: whole MiB, as few bytes as MOST_PARTS allows, but not less than LEAST_PART_BYTES."""
    mib = 1024 * 1024
    return max(LEAST_PART_BYTES, -(-size_bytes // MOST_PARTS // mib) * mib)
