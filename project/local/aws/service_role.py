"""AWS Batch's service-linked role in moto.

AWS Batch uses AWSServiceRoleForBatch for a compute environment that names no role, and creates it if
the account has none (user guide, "Using service-linked roles"). moto rejects such an environment.
"""

from __future__ import annotations

from contextlib import suppress
from functools import wraps
from typing import Any

from moto.batch.models import BatchBackend
from moto.iam.exceptions import EntityAlreadyExists
from moto.iam.models import SERVICE_NAME_CONVERSION

_SERVICE = "batch.amazonaws.com"
_ROLE = "AWSServiceRoleForBatch"


def use_service_linked_role() -> None:
    """Let moto accept compute environments without a role, as AWS Batch does."""
    SERVICE_NAME_CONVERSION["batch"] = "Batch"
    original = BatchBackend.create_compute_environment

    @wraps(original)
    def create_compute_environment(backend: BatchBackend, *arguments: Any, **named: Any) -> Any:
        if not named.get("service_role"):
            named["service_role"] = _service_linked_role_arn(backend)
        return original(backend, *arguments, **named)

    BatchBackend.create_compute_environment = create_compute_environment  # type: ignore[assignment,method-assign] # on purpose


def _service_linked_role_arn(backend: BatchBackend) -> str:
    with suppress(EntityAlreadyExists):
        backend.iam_backend.create_service_linked_role(_SERVICE, description="", suffix="")
    return backend.iam_backend.get_role(_ROLE).arn
