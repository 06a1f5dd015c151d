"""The SQS queue to which EventBridge sends AWS Batch's events.

A message that was received is hidden for the queue's visibility timeout, and delivered again unless
it was deleted. After a few receives SQS moves it to the dead-letter queue. SQS may deliver a message
twice, and in any order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .calls import count_calls
from .control import OPERATOR_CLIENT_CONFIG
from .errors import BatchError, BatchRejectedError, convert_error
from .port import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

LONG_POLL_S = 20
"""AWS: the longest wait of ReceiveMessage (API reference). An empty queue costs three calls a minute."""

MESSAGES = 10
"""AWS: the most messages of one ReceiveMessage."""

VISIBILITY_TIMEOUT_S = 60
"""Of the queue that scripts/infra creates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One delivery of a message."""

    body: str
    receipt: str
    message_id: str
    age_s: float
    """Seconds since EventBridge sent it, by this machine's clock."""


class EventQueue:
    """Client of the queue. Every method raises only BatchError."""

    def __init__(self, url: str) -> None:
        self._url = url
        # Sent once: the listener's loop is the retry. The read timeout covers the long poll.
        self._client = _client(
            "sqs",
            Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=LONG_POLL_S + READ_TIMEOUT_S,
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )
        count_calls(self._client)

    def receive(self) -> list[Message]:
        """Wait for messages for up to `LONG_POLL_S`, and return at most `MESSAGES`."""
        with _converted_errors("ReceiveMessage", self._url):
            response = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MESSAGES,
                WaitTimeSeconds=LONG_POLL_S,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            return [_message(each) for each in response.get("Messages", ())]

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete the messages. One that is not deleted is delivered again, which is harmless."""
        if not messages:
            return
        entries = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(messages)]
        with _converted_errors("DeleteMessageBatch", self._url):
            self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue as SQS describes it, for operators."""

    arn: str
    waiting: int
    visibility_timeout_s: int
    dead_letter_arn: str
    """Empty if it has none."""
    senders: tuple[str, ...]
    """ARNs of the rules that its policy allows to send; `*` for a statement that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An EventBridge rule that sends to the queue."""

    arn: str
    name: str
    enabled: bool
    kinds: tuple[str, ...]
    """Values of `detail-type` that it matches; empty if it matches any."""
    queues: tuple[str, ...]
    """ARNs of the job queues that it matches; empty if it matches any."""


def describe_event_queue(url: str) -> QueueState:
    """Return the queue's state. Raises BatchRejectedError if it does not exist."""
    client = _client("sqs", OPERATOR_CLIENT_CONFIG)
    with _converted_errors("GetQueueAttributes", url):
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = _parsed(found.get("RedrivePolicy"))
    return QueueState(
        arn=found["QueueArn"],
        waiting=int(found.get("ApproximateNumberOfMessages", 0)),
        visibility_timeout_s=int(found.get("VisibilityTimeout", 0)),
        dead_letter_arn=str(redrive.get("deadLetterTargetArn", "")),
        senders=tuple(_senders(_parsed(found.get("Policy")))),
    )


def dead_letter_url(url: str, dead_letter_arn: str) -> str:
    """Return the URL of the queue's dead-letter queue, which is in the same account and region."""
    return f"{url.rpartition('/')[0]}/{dead_letter_arn.rpartition(':')[2]}"


def rules_of_queue(queue_arn: str) -> list[Rule]:
    """Return the EventBridge rules that send to the queue."""
    client = _client("events", OPERATOR_CLIENT_CONFIG)
    rules = []
    with _converted_errors("ListRuleNamesByTarget", queue_arn):
        names = client.list_rule_names_by_target(TargetArn=queue_arn)["RuleNames"]
        for name in names:
            found = client.describe_rule(Name=name)
            pattern = _parsed(found.get("EventPattern"))
            rules.append(
                Rule(
                    arn=found["Arn"],
                    name=name,
                    enabled=found.get("State") != "DISABLED",
                    kinds=_exact(pattern.get("detail-type", ())),
                    queues=_exact(pattern.get("detail", {}).get("jobQueue", ())),
                )
            )
    return rules


def _exact(values: Any) -> tuple[str, ...]:
    """Return the texts that a part of a pattern matches; none if it also has a filter, such as a prefix."""
    return tuple(values) if all(isinstance(each, str) for each in values) else ()


def _message(found: Any) -> Message:
    sent_s = int(found.get("Attributes", {}).get("SentTimestamp", 0)) / 1000
    return Message(
        body=found["Body"],
        receipt=found["ReceiptHandle"],
        message_id=found["MessageId"],
        age_s=max(0.0, time.time() - sent_s) if sent_s else 0.0,
    )


def _senders(policy: dict[str, Any]) -> Iterator[str]:
    for statement in policy.get("Statement", ()):
        service = statement.get("Principal", {})
        services = _several(service.get("Service", ())) if isinstance(service, dict) else [service]
        actions = _several(statement.get("Action", ()))
        if (
            statement.get("Effect") != "Allow"
            or not {"events.amazonaws.com", "*"} & set(services)
            or not {"sqs:sendmessage", "sqs:*", "*"} & {each.lower() for each in actions}
        ):
            continue
        sources = [
            arn
            for condition in statement.get("Condition", {}).values()
            for name, values in condition.items()
            if name.lower() == "aws:sourcearn"
            for arn in _several(values)
        ]
        yield from sources or ["*"]


def _several(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _parsed(text: str | None) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text or "{}")
    return parsed


def _client(service: str, config: Config) -> Any:
    try:
        return boto3.client(service, config=config)  # type: ignore[call-overload] # the stubs accept only literal names
    except (BotoCoreError, ValueError) as error:
        message = f"{service} cannot be called from here: {error}"
        raise BatchRejectedError(message) from error


@contextmanager
def _converted_errors(call: str, where: str) -> Iterator[None]:
    """Convert boto3's errors, and a response that cannot be read, into ours."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise convert_error(error, call=call, where=where) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{call} at {where}: the response cannot be read ({type(error).__name__}: {error})"
        raise BatchError(message) from error
