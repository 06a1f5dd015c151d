"""Errors of calls to AWS, classified by what matters: can the call have taken effect?"""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
)

from ..lifecycle.errors import BatchreelError

_THROTTLES = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded"})
_DENIALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",  # EC2's
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
    }
)
_SERVER_ERROR = 500


class BatchError(BatchreelError):
    """A call to AWS failed.

    An unknown status is not a failure, so a failed read changes no state.
    """

    code = "BATCH_ERROR"


class BatchThrottledError(BatchError):
    """AWS throttled the call. It certainly did not take effect."""

    code = "BATCH_THROTTLED"


class BatchDeniedError(BatchError):
    """AWS rejected the credentials or their permissions. The call certainly did not take effect."""

    code = "BATCH_DENIED"


class BatchRejectedError(BatchError):
    """AWS rejected the request itself (unknown queue, bad definition).

    It certainly did not take effect.
    """

    code = "BATCH_REJECTED"


class BatchUnreachableError(BatchError):
    """No connection to AWS could be opened. The call certainly did not take effect."""

    code = "BATCH_UNREACHABLE"


class BatchAmbiguousError(BatchError):
    """The response was lost, late or a server error. The call may have taken effect."""

    code = "BATCH_AMBIGUOUS"


def convert_error(error: ClientError | BotoCoreError, *, call: str, where: str) -> BatchError:
    """Return our error for an error of boto3.

    `where` (region or endpoint) becomes part of the text, because a wrong one looks like a 403.
    """
    text = f"{call} at {where}: {error}"
    return kind_of(error)(text)


def kind_of(error: ClientError | BotoCoreError) -> type[BatchError]:
    """Return the class of our error for an error of boto3."""
    if isinstance(error, ClientError):
        return _kind_of_response(error)
    by_class: dict[type[BotoCoreError], type[BatchError]] = {
        NoCredentialsError: BatchDeniedError,
        EndpointConnectionError: BatchUnreachableError,
        ConnectTimeoutError: BatchUnreachableError,
        ParamValidationError: BatchRejectedError,
        NoRegionError: BatchRejectedError,
    }
    return by_class.get(type(error), BatchAmbiguousError)


def _kind_of_response(error: ClientError) -> type[BatchError]:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _THROTTLES:
        return BatchThrottledError
    if code in _DENIALS:
        return BatchDeniedError
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return BatchAmbiguousError if status >= _SERVER_ERROR else BatchRejectedError
