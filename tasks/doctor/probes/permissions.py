"""Exercises the permissions of the site's role, one call each, dry: nothing is submitted, ended, stored or changed by it.

AWS looks at permissions before it looks at the rest of a request, so a call that would be refused for another reason tells.
TerminateJob needs a Batch job that bears our tag: `doctor --from-batch` exercises it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ...batch.control import exercise
from ...batch.errors import BatchDeniedError, BatchError
from ...conf import bridge_settings
from ...storage.bucket import BucketDeniedError, BucketError, default_bucket
from ..finding import failed, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...storage.bucket import Bucket
    from ..finding import Finding

_FIX = "Give the site's role this action: scripts/infra/roles.tf has its policy, the least that works."


def check_permissions() -> Iterator[Finding]:
    """One finding for each action that is denied; one in all where none is. What cannot be reached, other looks say."""
    denied = 0
    bridge = bridge_settings()
    exercised = exercise(queue=bridge.job_queue, definition=bridge.job_definition) | _bucket_calls(default_bucket())
    for action, call in exercised.items():
        try:
            call()
        except (BatchDeniedError, BucketDeniedError) as error:
            denied += 1
            words = " ".join(str(error).split())
            yield failed("permissions", f"{action} is denied: {words}", fix=_FIX)
        except (BatchError, BucketError):
            # Among them "refused", which a dry call comes to where it is allowed.
            continue
    if not denied:
        yield ok("permissions", f"{len(exercised)} actions were tried, and none is denied.")


def _bucket_calls(bucket: Bucket | None) -> dict[str, Callable[[], object]]:
    """Reading, writing and deleting are the storage's look; here is what an upload in parts needs besides."""
    if bucket is None:
        return {}
    key = f"doctor/{uuid.uuid4().hex}.part"

    def upload_in_parts() -> None:
        upload_id = bucket.begin_upload(key, content_type="text/plain")
        try:
            bucket.parts(key, upload_id)
        finally:
            bucket.give_up_upload(key, upload_id)

    # Without the right to list, S3 says "forbidden" of an object that does not exist.
    return {"s3: uploads in parts": upload_in_parts, "s3:ListBucket": lambda: bucket.size_bytes(key)}
