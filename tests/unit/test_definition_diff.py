"""Differences between the registered and the rendered job definition.

They are reported only if SubmitJob would run a different container.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tasks.batch.control import DefinitionName
from tasks.batch.definition import render
from tasks.batch.definition_diff import ABSENT, differences
from tasks.conf import BridgeSettings

RENDERED = render(
    BridgeSettings(job_definition="transcode", secrets={"DATABASE_URL": "arn:aws:ssm:x"}), region="eu-west-1"
)


def as_aws_responses(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition as DescribeJobDefinitions does: with defaults, and lists reordered."""
    response = deepcopy(definition) | {
        "jobDefinitionArn": "arn:aws:batch:eu-west-1:1:job-definition/transcode:7",
        "revision": 7,
        "status": "ACTIVE",
        "containerOrchestrationType": "ECS",
        "tags": {},
    }
    container = response["containerProperties"]
    container |= {"ulimits": [], "privileged": False}
    # AWS leaves out what is false.
    container["linuxParameters"] = {"devices": [], "tmpfs": []}
    container["logConfiguration"]["secretOptions"] = []
    container["environment"].reverse()
    container["resourceRequirements"].reverse()
    response["retryStrategy"]["evaluateOnExit"] = []
    return response


def test_definitions_are_equal_when_aws_added_its_defaults() -> None:
    assert differences(registered=as_aws_responses(RENDERED), rendered=RENDERED) == []


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("containerProperties.image", lambda c: c["containerProperties"].update(image="old")),
        ("containerProperties.command", lambda c: c["containerProperties"]["command"].append("--more")),
        ("containerProperties.privileged", lambda c: c["containerProperties"].update(privileged=True)),
        (
            "containerProperties.resourceRequirements[VCPU].value",
            lambda c: c["containerProperties"]["resourceRequirements"][0].update(type="VCPU", value="8"),
        ),
        ("timeout.attemptDurationSeconds", lambda c: c["timeout"].update(attemptDurationSeconds=60)),
        ("retryStrategy.attempts", lambda c: c["retryStrategy"].update(attempts=3)),
        ("parameters.job_id", lambda c: c["parameters"].pop("job_id")),
        ("propagateTags", lambda c: c.update(propagateTags=False)),
    ],
)
def test_differing_field_is_named_when_a_definition_has_drifted(path: str, change: Any) -> None:
    registered = deepcopy(RENDERED)
    change(registered)
    assert path in [each.path for each in differences(registered=registered, rendered=RENDERED)]


def test_both_values_are_shown_when_a_variable_was_added_by_hand() -> None:
    registered = deepcopy(RENDERED)
    registered["containerProperties"]["environment"].append({"name": "DEBUG", "value": "1"})
    (found,) = differences(registered=registered, rendered=RENDERED)
    assert (found.path, found.registered, found.rendered) == (
        "containerProperties.environment[DEBUG].value",
        "1",
        ABSENT,
    )


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("transcode", "transcode", None),
        ("transcode:7", "transcode", 7),
        ("arn:aws:batch:eu-west-1:123456789012:job-definition/transcode:7", "transcode", 7),
        ("arn:aws:batch:eu-west-1:123456789012:job-definition/transcode", "transcode", None),
    ],
)
def test_definition_name_is_parsed_when_the_setting_has_any_form(text: str, name: str, revision: int | None) -> None:
    assert DefinitionName.parse(text) == DefinitionName(name=name, revision=revision)
