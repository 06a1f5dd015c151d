"""docs/reference/input-errors.md lists exactly the codes that the engine can report."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tasks.container.scratch.source import SourceMissingError
from tasks.transcode import SOURCE_WARNINGS

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "reference" / "input-errors.md").read_text()


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
    codes = [keyword.value for call in refusals for keyword in call.keywords if keyword.arg == "code"]
    # The call without a code re-raises the error of the probe's process.
    assert len(codes) == len(refusals) - 1
    assert all(isinstance(code, ast.Constant) for code in codes)
    by_engine = {code.value for code in codes if isinstance(code, ast.Constant)}
    # The container itself rejects a source that is missing in the storage.
    assert _documented("Rejected") == by_engine | {SourceMissingError.code}


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
