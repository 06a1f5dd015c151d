"""Errors in the shape that AWS Batch answers with."""

from __future__ import annotations

from http import HTTPStatus
from typing import NoReturn


class BatchError(Exception):
    """An answer that botocore turns into a ClientError: an error code, an HTTP status and a message."""

    def __init__(self, message: str, *, code: str, http_status: HTTPStatus) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.http_status = http_status


def reject(message: str, *, code: str = "ClientException") -> NoReturn:
    """Raise the error for a request that can never succeed as it is: HTTP status 400."""
    raise BatchError(message, code=code, http_status=HTTPStatus.BAD_REQUEST)
