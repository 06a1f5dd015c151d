"""Permission check of the site's IAM role: one dry call per action.

The calls submit, terminate, store and change nothing. AWS checks permissions before it validates
the rest of a request, so a call that fails validation still shows whether the action is allowed.
TerminateJob needs a Batch job with our tag: `doctor --from-batch` exercises it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ...batch.control import permission_probes
from ...batch.errors import BatchDeniedError, BatchError
from ...batch.machines import price_probes
from ...conf import bridge_settings
from ...storage.aliases import sources_bucket
from ...storage.bucket import BucketDeniedError, BucketError
from ...storage.keys import SITE_DOCTOR_FOLDER
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...storage.bucket import Bucket
    from ..finding import Finding

_FIX = "Allow this action in the policy of the site's role; scripts/infra/roles.tf has the least privilege policy."


def check_permissions() -> Iterator[Finding]:
    """Yield one finding for each denied action, or a single one if none is denied.

    Other checks report what is unreachable.
    """
    denied = 0
    bridge = bridge_settings()
    # Only uploads have several parts; containers store published objects with their own role.
    bucket_calls = _bucket_calls(sources_bucket())
    exercised = permission_probes(queues=bridge.queues, definition=bridge.job_definition) | bucket_calls
    for action, call in exercised.items():
        try:
            call()
        except (BatchDeniedError, BucketDeniedError) as error:
            denied += 1
            text = " ".join(str(error).split())
            yield failed("permissions", f"{action} is denied: {text}", fix=_FIX)
        except (BatchError, BucketError):
            # This includes "refused", the expected result of a dry call that is allowed.
            continue
    prices = price_probes()
    for action, call in prices.items():
        try:
            call()
        except BatchDeniedError as error:
            denied += 1
            text = " ".join(str(error).split())
            yield warning("permissions", f"{action} is denied, so costs are by the site's settings: {text}", fix=_FIX)
        except BatchError:
            continue
    if not denied:
        yield ok("permissions", f"{len(exercised) + len(prices)} actions were tried, none is denied.")


def _bucket_calls(bucket: Bucket | None) -> dict[str, Callable[[], object]]:
    """Return the calls that multipart uploads need.

    The storage check covers reading, writing and deleting.
    """
    if bucket is None:
        return {}
    key = f"{SITE_DOCTOR_FOLDER}/{uuid.uuid4().hex}.part"

    def multipart_upload() -> None:
        upload_id = bucket.begin_multipart_upload(key, content_type="text/plain")
        try:
            bucket.parts(key, upload_id)
        finally:
            bucket.abort_upload(key, upload_id)

    # Without s3:ListBucket, S3 answers "forbidden" instead of "not found" for an object that does
    # not exist.
    return {"s3: multipart upload": multipart_upload, "s3:ListBucket": lambda: bucket.size_bytes(key)}
