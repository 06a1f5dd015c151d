"""The bucket behind Django's default storage, for what a storage cannot do: uploads in parts, and addresses that work for a while.

It speaks S3 through the client that django-storages made, so S3, R2 and others need no settings but the storage's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import default_storage

from tasks.conf import bridge_settings

logger = logging.getLogger(__name__)

LEAST_PART_BYTES = 16 * 1024 * 1024
"""S3 takes parts from 5 MiB on; larger ones need fewer requests, smaller ones lose less where a connection breaks."""
MOST_PARTS = 10_000
"""Amazon S3, "Multipart upload limits". R2 has the same."""
LARGEST_OBJECT_BYTES = 5 * 1024**4
"""As above: 5 TiB."""

_FRUITLESS_TRIES = 6
"""With pauses of 2, 4, 8 ... s: an outage of half a minute costs a container its time, not its attempt."""
_LONGEST_PAUSE_S = 16.0
_SERVER_ERROR = 500


class BucketError(OSError):
    """The bucket refused a call, or did not answer. The text is the bucket's own, for logs and operators."""

    code = "BUCKET"


class NoSuchUploadError(BucketError):
    """The multipart upload is complete already, was given up, or never was."""

    code = "NO_SUCH_UPLOAD"


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

    def read(self, key: str, *, block_bytes: int) -> Iterator[bytes]:
        """The object in blocks. Where the connection breaks, it is read on from there, as long as each try brings something.

        Raises FileNotFoundError; and BucketError after `_FRUITLESS_TRIES` in a row, or at once where the object became another one.
        """
        done_bytes, fruitless, etag = 0, 0, ""
        while True:
            began_at = done_bytes
            rest = {"Range": f"bytes={done_bytes}-", "IfMatch": etag} if done_bytes else {}
            try:
                with bucket_errors():
                    answer = self._client.get_object(**self._place(key), **rest)
                    etag = answer["ETag"]
                    for block in answer["Body"].iter_chunks(block_bytes):
                        yield block
                        done_bytes += len(block)
            except _NoSuchObjectError as error:
                raise FileNotFoundError(key) from error
            except BucketError as error:
                fruitless = 0 if done_bytes > began_at else fruitless + 1
                if fruitless == _FRUITLESS_TRIES or isinstance(error, _RefusedError):
                    raise
                logger.warning("BUCKET_BROKE %s after %d bytes: %s", key, done_bytes, error)
                time.sleep(min(_LONGEST_PAUSE_S, 2.0**fruitless))
            else:
                return

    def url(self, key: str) -> str:
        """The address at which anybody may GET the object, for as long as `signed_url_ttl_s`."""
        return str(self._storage.url(key, expire=_ttl_s()))

    def _place(self, key: str) -> dict[str, str]:
        located: str = self._storage._normalize_name(key)  # noqa: SLF001 - puts the storage's `location` in front, as for all its objects
        return {"Bucket": self._storage.bucket_name, "Key": located}


def _ttl_s() -> int:
    return round(bridge_settings().signed_url_ttl_s)


class _RefusedError(BucketError):
    """The bucket answered, and said no: another try would bring the same."""


class BucketDeniedError(_RefusedError):
    """The credentials may not do this."""

    code = "BUCKET_DENIED"


class _NoSuchObjectError(_RefusedError):
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
        otherwise = _RefusedError if status < _SERVER_ERROR else BucketError
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
