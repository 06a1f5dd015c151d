"""docs/reference/input-errors.md lists exactly the codes that the engine can report."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tasks.container.scratch.source import SourceMissingError
from tasks.transcode import REJECTIONS, SOURCE_WARNINGS

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "reference" / "input-errors.md").read_text()


@cache
def _calls() -> list[ast.Call]:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tasks").rglob("*.py")]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _documented(heading: str) -> set[str]:
    section = _PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, flags=re.MULTILINE)
    assert len({code for code, _, _ in rows}) == len(rows)
    return {code for code, _, _ in rows}


def test_every_input_error_is_documented_when_one_is_added() -> None:
    kinds = {"InputRejectedError", "InputSuspectError"}
    refusals = [call for call in _calls() if isinstance(call.func, ast.Name) and call.func.id in kinds]
    keys = {
        call.args[0].value
        for call in _calls()
        if isinstance(call.func, ast.Name) and call.func.id == "rejection" and isinstance(call.args[0], ast.Constant)
    }
    # One refusal re-raises the error of the probe's process, and TOO_DEMANDING has several.
    made = [ast.unparse(call) for call in refusals]
    assert sum("**rejection('" in call for call in made) == len(refusals) - 1
    # The container itself rejects a source that is missing in the storage.
    assert keys | {SourceMissingError.code} == set(REJECTIONS)
    assert _documented("Rejected") == {key.partition(".")[0] for key in REJECTIONS}


def test_every_source_warning_is_documented_when_one_is_added() -> None:
    assert _documented("Transcoded with a warning") == set(SOURCE_WARNINGS)


def test_every_source_warning_has_a_message_when_the_probe_adds_it() -> None:
    given = {
        call.args[0].value
        for call in _calls()
        if ast.unparse(call.func) in {"warnings.append", "with_spans", "with_detail"}
        and isinstance(call.args[0], ast.Constant)
    }
    assert given == set(SOURCE_WARNINGS)
