"""The page of input errors names exactly what the engine can say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tasks.container.files import SourceMissingError
from tasks.transcode import SOURCE_WARNINGS

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "input-errors.md").read_text()


def _calls() -> list[ast.Call]:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tasks").rglob("*.py")]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _told(heading: str) -> set[str]:
    section = _PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, flags=re.MULTILINE)
    assert len({code for code, _, _ in rows}) == len(rows)
    return {code for code, _, _ in rows}


def test_every_refusal_is_on_the_page_when_one_is_added() -> None:
    refusals = [call for call in _calls() if isinstance(call.func, ast.Name) and call.func.id == "InputRejectedError"]
    codes = [keyword.value for call in refusals for keyword in call.keywords if keyword.arg == "code"]
    # The one without a code passes on what the probe's process said.
    assert len(codes) == len(refusals) - 1
    assert all(isinstance(code, ast.Constant) for code in codes)
    by_engine = {code.value for code in codes if isinstance(code, ast.Constant)}
    # The container itself refuses a source that the storage does not have.
    assert _told("Refused") == by_engine | {SourceMissingError.code}


def test_every_warning_is_on_the_page_when_one_is_added() -> None:
    assert _told("Transcoded all the same") == set(SOURCE_WARNINGS)


def test_every_warning_has_a_sentence_when_the_probe_gives_it() -> None:
    given = {
        call.args[0].value
        for call in _calls()
        if ast.unparse(call.func) == "warnings.append" and isinstance(call.args[0], ast.Constant)
    }
    assert given == set(SOURCE_WARNINGS)
