"""The CloudWatch filter patterns that scripts/infra/alarms.tf uses: comparisons of a JSON line's fields joined by `&&`.

The grammar is AWS's ("Filter pattern syntax for metric filters"). Unsupported syntax raises, so a
pattern that these tests cannot evaluate does not pass.
"""

from __future__ import annotations

import json
import re
from typing import Any

_COMPARISON = re.compile(r'\$\.(?P<name>\w+) (?P<operator>=|!=) (?:"(?P<text>[^"]*)"|(?P<number>\d+))')


def matches(pattern: str, line: str) -> bool:
    """Return whether CloudWatch would count the line."""
    assert pattern.startswith("{ ")
    assert pattern.endswith(" }")
    try:
        fields = json.loads(line)
    except json.JSONDecodeError:
        return False
    return all(_holds(each, fields) for each in pattern[2:-2].split(" && "))


def _holds(comparison: str, fields: dict[str, Any]) -> bool:
    found = _COMPARISON.fullmatch(comparison)
    assert found, comparison
    if found["name"] not in fields:
        return False
    value = fields[found["name"]]
    if found["number"] is not None:
        same = value == int(found["number"])
    elif found["text"].endswith("*"):
        same = str(value).startswith(found["text"][:-1])
    else:
        same = value == found["text"]
    return same if found["operator"] == "=" else not same
