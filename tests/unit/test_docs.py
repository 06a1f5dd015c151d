"""The docs say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.container.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]


def test_exit_codes_in_the_docs_equal_the_enum_when_one_is_added() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text()
    told = {(int(code), name) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", page, flags=re.MULTILINE)}
    assert told == {(code.value, code.name) for code in ExitCode}


def test_every_promise_names_tests_that_exist_when_tests_are_renamed() -> None:
    page = (ROOT / "docs" / "promises.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *(?:async )?def (test_\w+)\(", path.read_text(), flags=re.MULTILINE)
    }
    assert named
    assert not named - written


def test_every_promise_has_a_test_when_the_page_is_read() -> None:
    page = (ROOT / "docs" / "promises.md").read_text()
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    promises = [section for section in sections if re.match(r"\d+\.", section)]
    assert len(promises) == 15
    assert not [section.splitlines()[0] for section in promises if "`test_" not in section]


def test_links_between_pages_lead_somewhere_when_files_move() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken
