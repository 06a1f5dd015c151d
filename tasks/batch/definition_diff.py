"""Compares a registered job definition with the rendered one, leaving aside what AWS fills in by itself. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_GIVEN_BY_AWS = frozenset({"jobDefinitionArn", "revision", "status", "containerOrchestrationType", "tags"})
_DEFAULTS: dict[str, Any] = {
    "propagateTags": False,
    "containerProperties.privileged": False,
    "containerProperties.readonlyRootFilesystem": False,
}
"""What AWS may answer for a field that nobody set (API reference, JobDefinition and ContainerProperties)."""

_KEYS = ("name", "type", "sourceVolume")
"""A list of objects is compared by the first of these that its objects have: AWS does not promise an order."""

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that differs. Both values are text, `ABSENT` where there is none."""

    path: str
    registered: str
    rendered: str


def differences(*, registered: dict[str, Any], rendered: dict[str, Any]) -> list[Difference]:
    """Every field that differs, by path. Empty where SubmitJob would run the same container under either."""
    old, new = _flat(registered), _flat(rendered)
    return [
        Difference(path=path, registered=old.get(path, ABSENT), rendered=new.get(path, ABSENT))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _flat(definition: dict[str, Any]) -> dict[str, str]:
    leaves: dict[str, str] = {}
    _collect({key: value for key, value in definition.items() if key not in _GIVEN_BY_AWS}, "", leaves)
    return leaves


def _collect(value: Any, path: str, leaves: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _collect(each, f"{path}.{key}" if path else key, leaves)
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            key = next((name for name in _KEYS if name in each), "")
            rest = {name: one for name, one in each.items() if name != key}
            _collect(rest, f"{path}[{each[key] if key else number}]", leaves)
    elif value is None or value == [] or (path in _DEFAULTS and value == _DEFAULTS[path]):
        return
    else:
        leaves[path] = value if isinstance(value, str) and value else json.dumps(value)
