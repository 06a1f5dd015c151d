"""The documentation agrees with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import WHAT_TO_DO, Counts, Reason
from tasks.schedule.ticks import QUEUES

ROOT = Path(__file__).parents[2]
FOR_CHECKOUTS = {
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/deployment.md",
    "docs/promises.md",
    "docs/quickstart.md",
}
"""Pages for people with a checkout, where the package is `tasks`; decisions, and how to change it, are others."""
COUNTED = {Counts.YES: "yes", Counts.NO: "no", Counts.UNDECIDED: "undecided"}


def pages() -> list[Path]:
    """Return the paths of all documentation pages."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]


def section(heading: str) -> str:
    """Return a section of docs/reference/reasons.md."""
    return (
        (ROOT / "docs" / "reference" / "reasons.md").read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    )


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def log_event_names() -> set[str]:
    """Return the event names at the start of log lines."""
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
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    documented = {(int(code), name) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", page, flags=re.MULTILINE)}
    assert documented == {(code.value, code.name) for code in ExitCode}


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
    assert len(promises) == 18
    assert not [section.splitlines()[0] for section in promises if "`test_" not in section]


def test_links_between_pages_are_valid_when_files_move() -> None:
    broken = [
        f"{page.name}: {target}#{anchor}"
        for page in pages()
        for target, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", page.read_text())
        if not (page.parent / target).exists()
        or (anchor and anchor not in anchors(page.parent / target if target else page))
    ]
    assert not broken


def test_every_reason_is_documented_when_one_is_added() -> None:
    documented = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (yes|no|undecided) \| (.+) \|$", section("Reasons"), flags=re.MULTILINE
    )
    # The page adds links and code to the texts that the admin shows.
    texts = [(*others, re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "")) for *others, text in documented]
    assert texts == [(reason.value, reason.message, COUNTED[reason.counts], WHAT_TO_DO[reason]) for reason in Reason]


def test_every_log_event_is_documented_when_one_is_added() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", section("Lines in the log"), flags=re.MULTILINE))
    names = log_event_names()
    assert {"TICK_AWS_ERROR", "HEARTBEAT_FAILED", "WORKER_EXIT_FORCED"} <= names
    assert not names - documented


def test_every_system_check_is_documented_when_one_is_added() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "tasks").rglob("*.py"))
    used = set(re.findall(r"\"(batchreel\.[EW]\d{3})\"", code))
    assert {"batchreel.E001", "batchreel.W028"} <= used
    assert set(re.findall(r"^\| `(batchreel\.\w+)` \|", section("System checks"), flags=re.MULTILINE)) == used


def test_queues_of_workers_exist_when_a_page_starts_one() -> None:
    texts = {path.name: path.read_text() for path in [*pages(), ROOT / "Procfile"]}
    named = {
        (name, queue)
        for name, text in texts.items()
        for queues in re.findall(r" -Q ([\w.,-]*\w)", text)
        for queue in queues.split(",")
    }
    assert {"Procfile", "integration.md", "troubleshooting.md"} <= {name for name, _ in named}
    # `celery` is the queue of a site's own tasks.
    assert not [each for each in sorted(named) if each[1] not in {*QUEUES, "celery"}]


def test_code_imports_the_installed_package_when_the_page_is_for_a_site_of_its_own() -> None:
    for page in pages():
        name, text = str(page.relative_to(ROOT)), page.read_text()
        if name in FOR_CHECKOUTS or name.startswith(("docs/adr/", "docs/how-to/add-a-tick", "docs/how-to/release")):
            continue
        # Not `tasks/urls.py`, a file of the repository, nor the tasks of another package.
        assert not re.findall(r"(?<![\w./-])tasks\.(?!py\b)[a-z_]+.*|import tasks\b.*", text), name
        if re.search(r"^ *>>> from batchreel|python -m batchreel\.", text, flags=re.MULTILINE):
            assert "`tasks`" in text, f"{name}: what a checkout has instead"
