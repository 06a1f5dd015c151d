"""Comparison of a registered job definition with the rendered one.

It ignores the fields that AWS fills in. Pure functions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_GIVEN_BY_AWS = frozenset({"jobDefinitionArn", "revision", "status", "containerOrchestrationType", "tags"})
_DEFAULTS: dict[str, Any] = {
    "propagateTags": False,
    "containerProperties.privileged": False,
    "containerProperties.readonlyRootFilesystem": False,
    "containerProperties.linuxParameters.initProcessEnabled": False,
}
"""Values that AWS may return for fields that were not set (API reference, JobDefinition and ContainerProperties)."""

_KEYS = ("name", "type", "sourceVolume")
"""Objects in a list are matched by the first of these keys that they have, because AWS does not guarantee an order."""

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that differs. Both values are strings; `ABSENT` if there is no value."""

    path: str
    registered: str
    rendered: str


def differences(*, registered: dict[str, Any], rendered: dict[str, Any]) -> list[Difference]:
    """Return every field that differs, by path; an empty list if SubmitJob would run the same container with either."""
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
            remainder = {name: one for name, one in each.items() if name != key}
            _collect(remainder, f"{path}[{each[key] if key else number}]", leaves)
    elif value is None or value == [] or (path in _DEFAULTS and value == _DEFAULTS[path]):
        return
    else:
        leaves[path] = value if isinstance(value, str) and value else json.dumps(value)
