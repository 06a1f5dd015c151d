"""The tail of a container's log, from CloudWatch Logs, for the admin.

An error becomes a message, so the page never fails.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.utils.translation import gettext

from ..conf import bridge_settings

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

TAIL_LINES = 200

_CONNECT_TIMEOUT_S = 2
_READ_TIMEOUT_S = 4


class LogLine(NamedTuple):
    """One line of a container's output. `at` is CloudWatch's timestamp, for display only."""

    at: datetime
    text: str


class LogTail(NamedTuple):
    """The newest lines, oldest first; or no lines, and a message with the reason."""

    lines: list[LogLine]
    message: str


def log_tail(stream: str, *, lines: int = TAIL_LINES) -> LogTail:
    """Return the last lines of a log stream of the containers' log group.

    Never raises because of AWS.
    """
    if not stream:
        return LogTail([], gettext("AWS Batch has not named a log stream for this attempt yet."))
    try:
        response = _client().get_log_events(
            logGroupName=bridge_settings().log_group, logStreamName=stream, limit=lines, startFromHead=False
        )
    except (ClientError, BotoCoreError, ValueError) as error:  # ValueError: the endpoint URL is malformed
        return LogTail([], gettext("The log could not be read: {error}").format(error=error))
    found = [
        LogLine(datetime.fromtimestamp(each["timestamp"] / 1000, UTC), each["message"]) for each in response["events"]
    ]
    return LogTail(found, "" if found else gettext("The container has written nothing yet."))


@cache
def _client() -> CloudWatchLogsClient:
    config = Config(connect_timeout=_CONNECT_TIMEOUT_S, read_timeout=_READ_TIMEOUT_S, retries={"total_max_attempts": 1})
    return boto3.client("logs", config=config)
