"""The alert rules and the dashboard name metrics and reasons that exist, and Prometheus accepts them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.lifecycle.reasons import FAULTS, Reason
from tasks.lifecycle.states import JobState
from tasks.metrics import definitions, log_line

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
_METRICS = {each for each in vars(definitions).values() if isinstance(each, definitions.Metric)}
_COUNTERS = {*definitions.COUNTERS, *definitions.FROM_ROWS}
EXPORTED = (
    {f"{definitions.PREFIX}{each.name}" for each in _METRICS - _COUNTERS}
    | {f"{definitions.PREFIX}{each.name}_total" for each in _COUNTERS}
    | {
        f"{definitions.PREFIX}{each.name}_{part}"
        for each in definitions.DURATIONS
        for part in ("bucket", "sum", "count")
    }
)


def expressions() -> list[str]:
    """Return every expression of the dashboard, and the text of the rules."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [
        *(target["expr"] for panel in panels for target in panel["targets"]),
        (FOLDER / "alerts.yml").read_text(),
    ]


def promtool(*arguments: str) -> None:
    """Run promtool, which must succeed; skip the test if it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH: install the package prometheus")
    ran = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_expressions_name_metrics_that_exist_when_one_is_renamed() -> None:
    named = {name for text in expressions() for name in re.findall(r"\bbatchreel_\w+", text)}
    assert len(named) > 20
    assert not named - EXPORTED


def test_every_metric_is_documented_when_one_is_added() -> None:
    page = (FOLDER.parent / "monitoring.md").read_text()
    documented = re.findall(r"^\| `batchreel_(\w+)(?:\{(.*)\})?` \| (\w+) \| (.+) \|$", page, flags=re.MULTILINE)
    assert set(documented) == {
        *((each.name, ", ".join(each.labels), "gauge", each.about) for each in _METRICS - _COUNTERS),
        *((f"{each.name}_total", ", ".join(each.labels), "counter", each.about) for each in _COUNTERS),
        *((each.name, "", "histogram", each.about) for each in definitions.DURATIONS),
    }


def test_every_number_for_cloudwatch_is_documented_when_one_is_added() -> None:
    page = (FOLDER.parent / "monitoring.md").read_text()
    assert set(re.findall(r"^\| `(?!Batchreel)([A-Z]\w+)` \|", page, flags=re.MULTILINE)) == set(log_line.UNITS)


def test_every_alert_is_documented_when_one_is_added() -> None:
    rules = (FOLDER / "alerts.yml").read_text()
    page = (FOLDER.parent / "monitoring.md").read_text()
    written = re.findall(r"- alert: (\w+)", rules)
    assert re.findall(r"^\| `(Batchreel\w+)` \|", page, flags=re.MULTILINE) == written


def test_expressions_name_reasons_and_states_that_exist_when_one_is_added() -> None:
    text = "\n".join(expressions())
    reasons = {name for value in re.findall(r'reason!?=~?"([^"]+)"', text) for name in value.split("|")}
    assert reasons <= {*Reason, definitions.SUCCEEDED}
    kinds = {frozenset(value.split("|")) for value in re.findall(r'reason=~"([^"]+)"', text)}
    assert kinds == {log_line.DISK_FULL_REASONS, FAULTS}
    assert {*re.findall(r'state!?="([^"]+)"', text)} <= set(JobState)


def test_rule_and_number_leave_out_the_same_calls_when_a_role_need_not_allow_them() -> None:
    (calls,) = re.findall(r'call!~"([^"]+)"', (FOLDER / "alerts.yml").read_text())
    assert set(calls.split("|")) == log_line.PRICE_CALLS


def test_rules_and_panels_are_valid_when_prometheus_reads_them() -> None:
    promtool("check", "rules", "alerts.yml")


def test_alerts_fire_and_stay_silent_when_numbers_are_replayed() -> None:
    promtool("test", "rules", "alerts.test.yml", "growth.test.yml")
