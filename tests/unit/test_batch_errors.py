"""boto3 errors are classified by whether the call may have taken effect."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from tasks.batch.errors import (
    BatchAmbiguousError,
    BatchDeniedError,
    BatchError,
    BatchRejectedError,
    BatchThrottledError,
    BatchUnreachableError,
    convert_error,
)

_URL = "http://127.0.0.1"


def _client_error(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "SubmitJob")  # type: ignore[typeddict-item] # a minimal response


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_client_error("TooManyRequestsException", 429), BatchThrottledError),
        (_client_error("AccessDeniedException", 403), BatchDeniedError),
        (_client_error("ExpiredTokenException", 403), BatchDeniedError),
        (_client_error("ClientException", 400), BatchRejectedError),
        (_client_error("ServerException", 500), BatchAmbiguousError),
        (_client_error("ServiceUnavailable", 503), BatchAmbiguousError),
        (ReadTimeoutError(endpoint_url=_URL), BatchAmbiguousError),
        (ConnectTimeoutError(endpoint_url=_URL), BatchUnreachableError),
        (EndpointConnectionError(endpoint_url=_URL), BatchUnreachableError),
        (NoCredentialsError(), BatchDeniedError),
        (NoRegionError(), BatchRejectedError),
        (ParamValidationError(report="x"), BatchRejectedError),
    ],
)
def test_error_is_ambiguous_only_when_the_call_may_have_taken_effect(
    error: ClientError | BotoCoreError, kind: type[BatchError]
) -> None:
    converted_errors = convert_error(error, call="SubmitJob", where="eu-north-1")
    assert type(converted_errors) is kind
    assert "eu-north-1" in str(converted_errors)
