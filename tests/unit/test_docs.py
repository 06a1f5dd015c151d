"""The docs say what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Counts, Reason

ROOT = Path(__file__).parents[2]
COUNTED = {Counts.YES: "yes", Counts.NO: "no", Counts.UNDECIDED: "open"}


def pages() -> list[Path]:
    """The pages for people."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]


def section(heading: str) -> str:
    """A section of the page of reasons."""
    return (ROOT / "docs" / "reasons.md").read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def first_words() -> set[str]:
    """The words with which lines in the log begin."""
    found: set[str] = set()
    modules = [path for folder in ("tasks", "project") for path in (ROOT / folder).rglob("*.py")]
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="logger")), args=[ast.Constant(value=str(line)), *_]
                ):
                    found.update(re.findall(r"^[A-Z]+(?:_[A-Z]+)+", line))
    return found


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
    broken = [
        f"{page.name}: {target}#{anchor}"
        for page in pages()
        for target, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", page.read_text())
        if not (page.parent / target).exists()
        or (anchor and anchor not in anchors(page.parent / target if target else page))
    ]
    assert not broken


def test_every_reason_is_told_with_its_sentence_and_charge_when_one_is_added() -> None:
    told = re.findall(r"^\| `(\w+)` \| (.+?) \| (yes|no|open) \| .+ \|$", section("Reasons"), flags=re.MULTILINE)
    assert told == [(reason.value, reason.message, COUNTED[reason.counts]) for reason in Reason]


def test_every_line_of_the_log_is_told_when_one_is_added() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", section("Lines in the log"), flags=re.MULTILINE))
    words = first_words()
    assert {"TICK_AWS_ERROR", "HEARTBEAT_FAILED", "WORKER_EXIT_FORCED"} <= words
    assert not words - told


def test_every_system_check_is_told_when_one_is_added() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "tasks").rglob("*.py"))
    used = set(re.findall(r"\"(batchreel\.[EW]\d{3})\"", code))
    assert {"batchreel.E001", "batchreel.W028"} <= used
    assert set(re.findall(r"^\| `(batchreel\.\w+)` \|", section("System checks"), flags=re.MULTILINE)) == used
