"""Access to the bucket of one of Django's storages: multipart uploads, presigned URLs, reads.

Django's storage API does not have these. The module uses the S3 client that django-storages
created, so S3, R2 and others need no settings besides the storage's own.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import Any, Literal

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import Storage
from django.utils.http import content_disposition_header

from ..conf import bridge_settings
from .parts import Part, StoredObject
from .timeouts import SITE_TIMEOUTS, Timeouts

logger = logging.getLogger(__name__)

DELETE_LIMIT_KEYS = 1000
"""Maximum number of keys of one DeleteObjects (Amazon S3, API reference). R2 has the same limit."""

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 16.0
_SERVER_ERROR = 500
_TRANSIENT_STATUSES = frozenset({408, 429})
_TRANSIENT_CODES = frozenset({"RequestTimeout", "SlowDown"})
"""Transient errors that S3 reports as client errors (Amazon S3, "Error responses")."""


class BucketError(OSError):
    """The bucket rejected a call or did not respond.

    The text is from the bucket, for logs and operators.
    """

    code = "BUCKET"


class NoSuchUploadError(BucketError):
    """The multipart upload has been completed or aborted, or never existed."""

    code = "NO_SUCH_UPLOAD"


def client_config(
    *, addressing_style: Literal["auto", "virtual", "path"] = "auto", timeouts: Timeouts = SITE_TIMEOUTS
) -> Config:
    """Return the client configuration of the storage, for `client_config` in STORAGES."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing_style},
        connect_timeout=timeouts.connect_s,
        read_timeout=timeouts.read_s,
        retries={"mode": "standard", "total_max_attempts": timeouts.tries},
    )


class RetryDeadline:
    """Retries with backoff until the bucket has been unavailable for `limit_s`.

    Then, or if the bucket rejects the call, the error is raised. `wait` gets the seconds; if it raises, that ends them.
    """

    def __init__(self, limit_s: float, *, wait: Callable[[float], object]) -> None:
        self._limit_s, self._wait = limit_s, wait
        self.renew()

    def renew(self) -> None:
        """Restart the deadline and the backoff. Called whenever bytes were transferred."""
        self._since_s, self._pause_s = time.monotonic(), _FIRST_PAUSE_S

    def wait_or_raise(self, error: BucketError) -> None:
        """Wait before the next try.

        Raises the error if a retry cannot succeed or the deadline has passed.
        """
        if isinstance(error, _RejectedError) or time.monotonic() - self._since_s + self._pause_s > self._limit_s:
            raise error
        logger.warning("STORAGE_UNAVAILABLE %s: next try in %g s", error, self._pause_s)
        self._wait(self._pause_s)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)


class Bucket:
    """One bucket. Every method except `presigned_url` and `presigned_part_url` calls it, and raises BucketError."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._client = storage.connection.meta.client
        self._client.meta.events.register("before-call.s3.DeleteObjects", _add_content_md5, unique_id=_add_content_md5)

    @property
    def name(self) -> str:
        """Return the bucket's name."""
        return str(self._storage.bucket_name)

    def exists(self) -> bool:
        """Return whether the bucket exists. One that denies this call does."""
        try:
            with suppress(BucketDeniedError), bucket_errors():
                self._client.head_bucket(Bucket=self._storage.bucket_name)
        except _NoSuchObjectError:
            return False
        return True

    def begin_multipart_upload(self, key: str, *, content_type: str) -> str:
        """Start a multipart upload and return its id."""
        with bucket_errors():
            response = self._client.create_multipart_upload(**self._place(key), ContentType=content_type)
            return str(response["UploadId"])

    def presigned_part_url(self, key: str, upload_id: str, number: int, *, size_bytes: int) -> str:
        """Return the presigned URL to which a browser PUTs a part, valid for `signed_url_ttl_s`.

        The length is signed, so the bucket rejects a part of another size before it stores it.
        """
        parameters = {
            **self._place(key),
            "UploadId": upload_id,
            "PartNumber": number,
            "ContentLength": size_bytes,
        }
        return str(self._client.generate_presigned_url("upload_part", Params=parameters, ExpiresIn=_ttl_s()))

    def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts that the bucket has stored, ordered by number."""
        with bucket_errors():
            pages = self._client.get_paginator("list_parts").paginate(**self._place(key), UploadId=upload_id)
            return [
                Part(number=part["PartNumber"], etag=part["ETag"], size_bytes=part["Size"])
                for page in pages
                for part in page.get("Parts", [])
            ]

    def complete_upload(self, key: str, upload_id: str, parts: list[Part]) -> None:
        """Complete the multipart upload: the parts become one object."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        with bucket_errors():
            self._client.complete_multipart_upload(
                **self._place(key), UploadId=upload_id, MultipartUpload={"Parts": listed}
            )

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort the multipart upload and delete its parts. No error if there is no such upload."""
        try:
            with bucket_errors():
                self._client.abort_multipart_upload(**self._place(key), UploadId=upload_id)
        except NoSuchUploadError:
            return

    def keys_under(self, folder: str) -> Iterator[str]:
        """Yield the full keys of all objects in the folder, also in those below it: a call for 1,000 of them.

        Raises ValueError for an empty folder name, which would be the whole bucket.
        """
        if not folder:
            message = "the folder has no name"
            raise ValueError(message)
        where = self._place(folder)
        with bucket_errors():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=where["Bucket"], Prefix=f"{where['Key']}/"):
                yield from (entry["Key"] for entry in page.get("Contents", []))

    def full_key(self, key: str) -> str:
        """Return the key with the storage's own prefix, as `keys_under` yields it."""
        return self._place(key)["Key"]

    def delete_objects(self, full_keys: Iterable[str], *, before_call: Callable[[], object]) -> None:
        """Delete the objects: a call for 1,000 of them. Objects that do not exist are not an error.

        `before_call` is called before each of these calls; if it raises, the remaining objects stay.
        """
        remaining = iter(full_keys)
        while keys := list(islice(remaining, DELETE_LIMIT_KEYS)):
            before_call()
            with bucket_errors():
                response = self._client.delete_objects(
                    Bucket=self._storage.bucket_name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
                )
            if errors := response.get("Errors"):
                code, key = errors[0].get("Code", ""), errors[0].get("Key", "")
                message = f"{len(errors)} of {len(keys)} objects were not deleted, the first is {key}: {code}"
                raise _ERRORS.get(code, BucketError)(message)

    def size_bytes(self, key: str) -> int | None:
        """Return the size of an object, or None if it does not exist."""
        found = self.find(key)
        return None if found is None else found.size_bytes

    def find(self, key: str) -> StoredObject | None:
        """Return what the bucket has under this key, or None."""
        try:
            with bucket_errors():
                response = self._client.head_object(**self._place(key))
                return StoredObject(int(response["ContentLength"]), str(response["ETag"]))
        except _NoSuchObjectError:
            return None

    def read(
        self,
        key: str,
        *,
        block_bytes: int,
        deadline: RetryDeadline,
        byte_range: tuple[int, int] | None = None,
        etag: str = "",
    ) -> Iterator[bytes]:
        """Yield the object, or a range of it (first byte, end), in blocks.

        If the connection breaks, resume from the last byte until the deadline.

        Raises FileNotFoundError. Raises BucketError when no bytes have arrived until the deadline,
        or immediately if the object was replaced: since the first byte, or since it had `etag`.
        """
        at, end = byte_range or (0, None)
        while end is None or at < end:
            part = {"Range": f"bytes={at}-{'' if end is None else end - 1}"} if at or end is not None else {}
            same = {"IfMatch": etag} if etag else {}
            try:
                with bucket_errors():
                    response = self._client.get_object(**self._place(key), **part, **same)
                    with closing(response["Body"]) as body:
                        if part and not str(response.get("ContentRange", "")).startswith(f"bytes {at}-"):
                            message = f"{key}: asked for {part['Range']}, the storage returned another part"
                            raise _RejectedError(message)
                        etag = response["ETag"]
                        for block in body.iter_chunks(block_bytes):
                            yield block
                            at += len(block)
                            deadline.renew()
                    return
            except _NoSuchObjectError as error:
                raise FileNotFoundError(key) from error
            except BucketError as error:
                deadline.wait_or_raise(error)

    def presigned_url(self, key: str, *, content_type: str = "", download_as: str = "") -> str:
        """Return the presigned URL of the object, for a GET by anyone within `signed_url_ttl_s`.

        The response has `content_type`, if given; with `download_as`, browsers save it under that name.
        """
        parameters = {"ResponseContentType": content_type} if content_type else {}
        if header := content_disposition_header(as_attachment=bool(download_as), filename=download_as):
            parameters["ResponseContentDisposition"] = header
        return str(self._storage.url(key, parameters=parameters or None, expire=_ttl_s()))

    def _place(self, key: str) -> dict[str, str]:
        located: str = self._storage._normalize_name(key)  # noqa: SLF001 - adds the storage's `location` prefix, as for all its objects
        return {"Bucket": self._storage.bucket_name, "Key": located}


def _add_content_md5(params: dict[str, Any], **_: object) -> None:
    """Add Content-MD5 to DeleteObjects.

    boto3 sends a CRC32 alone since 1.36. S3 accepts either, some other stores only the older header.
    """
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def _ttl_s() -> int:
    return round(bridge_settings().signed_url_ttl_s)


class _RejectedError(BucketError):
    """The bucket rejected the call; a retry would have the same result."""


class BucketDeniedError(_RejectedError):
    """The credentials do not allow this call."""

    code = "BUCKET_DENIED"


class _NoSuchObjectError(_RejectedError):
    """There is no object with this key."""


_ERRORS: Mapping[str, type[BucketError]] = {
    "NoSuchUpload": NoSuchUploadError,
    "404": _NoSuchObjectError,
    "NoSuchKey": _NoSuchObjectError,
    "403": BucketDeniedError,
    "AccessDenied": BucketDeniedError,
}
"""Error by S3's error code; for HEAD requests, by HTTP status."""


@contextmanager
def bucket_errors() -> Iterator[None]:
    """Convert the errors of the S3 client into BucketError, which is an OSError like those of a file system."""
    try:
        yield
    except ClientError as error:
        code, status = (
            str(error.response["Error"].get("Code", "")),
            error.response["ResponseMetadata"]["HTTPStatusCode"],
        )
        passing = status >= _SERVER_ERROR or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES
        otherwise = BucketError if passing else _RejectedError
        raise _ERRORS.get(code, otherwise)(str(error)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise BucketError(str(error)) from error


def bucket_of(storage: Storage) -> Bucket | None:
    """Return the bucket of the storage, or None if it is not a bucket, such as a folder on a laptop."""
    return Bucket(storage) if hasattr(storage, "bucket_name") else None
