"""Errors in the format of AWS Batch's responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import NoReturn


class BatchError(Exception):
    """An error response that botocore turns into a ClientError: error code, HTTP status and message."""

    def __init__(self, message: str, *, code: str, http_status: HTTPStatus) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.http_status = http_status


def reject(message: str, *, code: str = "ClientException") -> NoReturn:
    """Raise the error for an invalid request: HTTP status 400."""
    raise BatchError(message, code=code, http_status=HTTPStatus.BAD_REQUEST)
