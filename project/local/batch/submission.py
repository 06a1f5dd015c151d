"""SubmitJob requests: AWS's validation rules, and the job that results from definition and overrides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from project.local.batch.errors import reject
from project.local.batch.fields import list_field, mapping_field, number_field, text_field, text_mapping_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from project.local.batch.control_plane import ControlPlane, Queue

PAYLOAD_LIMIT_BYTES = 30 * 1024
"""docs.aws.amazon.com/batch/latest/userguide/service_limits.html: job payload."""
TIMEOUT_MIN_S = 60
"""API_JobTimeout: attemptDurationSeconds is at least 60."""
ATTEMPTS_MIN, ATTEMPTS_MAX = 1, 10
"""API_RetryStrategy."""
EXIT_RULES_MAX = 5
"""API_RetryStrategy: evaluateOnExit has at most 5 entries."""

DEFAULT_LOG_GROUP = "/aws/batch/job"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_PARAMETER_REFERENCE = re.compile(r"Ref::([A-Za-z0-9_.-]+)")
_UNSUPPORTED = ("arrayProperties", "dependsOn", "nodeOverrides", "eksPropertiesOverride", "ecsPropertiesOverride")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """How often Batch itself starts a job, and which failures are final (evaluateOnExit)."""

    attempts: int
    on_exit: tuple[Mapping[str, str], ...]

    def should_retry(self, *, attempts_made: int, exit_code: int | None, reason: str, status_reason: str) -> bool:
        """Return whether a failed attempt is followed by another one.

        The first matching rule decides. Without a match, the response is yes.
        """
        if attempts_made >= self.attempts:
            return False
        ended = {"onExitCode": str(exit_code), "onReason": reason, "onStatusReason": status_reason}
        for rule in self.on_exit:
            if all(_matches(pattern, ended[name]) for name, pattern in rule.items() if name in ended):
                return rule["action"] == "RETRY"
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job as described by SubmitJob, with the definition's values for everything not overridden."""

    name: str
    queue: Queue
    definition_arn: str
    parameters: Mapping[str, str]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    image: str
    vcpus: float
    memory_mib: int
    retry: RetryRules
    timeout_s: int | None
    tags: Mapping[str, str]
    log_group: str
    log_stream_prefix: str
    platform_capabilities: tuple[str, ...]


def read_submission(body: Mapping[str, Any], *, region: str, control_plane: ControlPlane) -> Submission:
    """Validate a SubmitJob request as AWS does, and return the job that it describes.

    Raises ClientException.
    """
    for name in _UNSUPPORTED:
        if body.get(name):
            reject(f"{name} is not supported by the local AWS Batch, which runs only single-container jobs.")
    name = text_field(body, "jobName")
    if _NAME.fullmatch(name) is None:
        reject("Job name should match valid pattern")
    queue = control_plane.queue(region, text_field(body, "jobQueue"))
    if not queue.enabled:
        reject(f"JobQueue {queue.arn} is not in ENABLED state.")
    definition = control_plane.definition(region, text_field(body, "jobDefinition"))
    container = definition.get("containerProperties") or {}
    overrides = mapping_field(body, "containerOverrides")
    parameters = {**(definition.get("parameters") or {}), **text_mapping_field(body, "parameters")}
    log_options = (container.get("logConfiguration") or {}).get("options") or {}
    resources = _resources(container) | _resources(overrides)
    return Submission(
        name=name,
        queue=queue,
        definition_arn=definition["jobDefinitionArn"],
        parameters=parameters,
        command=_command(overrides.get("command") or container.get("command") or [], parameters),
        environment=_environment(container) | _environment(overrides),
        image=container.get("image", ""),
        vcpus=_positive(resources, "VCPU"),
        memory_mib=int(_positive(resources, "MEMORY")),
        retry=_retry_rules(body, definition),
        timeout_s=_timeout_s(body, definition),
        tags=text_mapping_field(body, "tags"),
        log_group=log_options.get("awslogs-group") or DEFAULT_LOG_GROUP,
        log_stream_prefix=log_options.get("awslogs-stream-prefix") or definition["jobDefinitionName"],
        platform_capabilities=tuple(definition.get("platformCapabilities") or ()),
    )


def _command(words: Any, parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Replace each `Ref::name` that has a parameter.

    AWS passes one without a parameter unchanged.
    """
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        reject("command must be a list of strings")
    return tuple(_PARAMETER_REFERENCE.sub(lambda found: parameters.get(found[1], found[0]), word) for word in words)


def _environment(container: Mapping[str, Any]) -> dict[str, str]:
    pairs = list_field(container, "environment")
    return {text_field(pair, "name"): str(pair.get("value", "")) for pair in pairs}


def _resources(container: Mapping[str, Any]) -> dict[str, str]:
    """Return amounts by type, from resourceRequirements or from the older fields `vcpus` and `memory`."""
    older = {"VCPU": container.get("vcpus"), "MEMORY": container.get("memory")}
    resources = {kind: str(amount) for kind, amount in older.items() if amount}
    for requirement in list_field(container, "resourceRequirements"):
        resources[text_field(requirement, "type")] = text_field(requirement, "value")
    return resources


def _positive(resources: Mapping[str, str], kind: str) -> float:
    try:
        amount = float(resources.get(kind, ""))
    except ValueError:
        amount = 0
    if not 0 < amount < float("inf"):
        reject(f"Error executing request, Exception : {kind} is not provided or not a positive number.")
    return amount


def _retry_rules(body: Mapping[str, Any], definition: Mapping[str, Any]) -> RetryRules:
    strategy = mapping_field(body, "retryStrategy") or definition.get("retryStrategy") or {}
    attempts = number_field(strategy, "attempts", default=1)
    if not ATTEMPTS_MIN <= attempts <= ATTEMPTS_MAX:
        reject(f"Number of attempts must be between {ATTEMPTS_MIN} and {ATTEMPTS_MAX}")
    rules = list_field(strategy, "evaluateOnExit")
    if len(rules) > EXIT_RULES_MAX:
        reject(f"evaluateOnExit can contain at most {EXIT_RULES_MAX} entries")
    for rule in rules:
        if text_field(rule, "action").upper() not in {"RETRY", "EXIT"}:
            reject("evaluateOnExit action must be RETRY or EXIT")
    # API_EvaluateOnExit: actions are case-insensitive.
    return RetryRules(attempts=attempts, on_exit=tuple({**rule, "action": rule["action"].upper()} for rule in rules))


def _timeout_s(body: Mapping[str, Any], definition: Mapping[str, Any]) -> int | None:
    timeout = mapping_field(body, "timeout") or definition.get("timeout") or {}
    if not timeout:
        return None
    duration_s = number_field(timeout, "attemptDurationSeconds", default=0)
    if duration_s < TIMEOUT_MIN_S:
        reject(f"attemptDurationSeconds must be at least {TIMEOUT_MIN_S} seconds")
    return duration_s


def _matches(pattern: str, text: str) -> bool:
    """Match as evaluateOnExit does: a pattern may end in `*`, and has no other wildcards."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
