"""The mutations of `scripts/test --mutations` fit the code and name existing tests.

docs/promises.md lists all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mutations.patches import PATCHES

if TYPE_CHECKING:
    from tests.mutations.patch import Patch

ROOT = Path(__file__).parents[2]
MIN_PATCHES = 100
PROMISES = 18


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_mutation_fits_and_names_existing_tests_when_code_changes(patch: Patch) -> None:
    text = (ROOT / patch.file).read_text()
    assert patch.applied_to(text) != text
    for test in patch.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists(), test
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), test


def test_mutated_file_is_valid_python_when_a_mutation_is_applied(tmp_path: Path) -> None:
    # Code that cannot run would fail any test, which proves nothing.
    for number, patch in enumerate(each for each in PATCHES if each.file.endswith(".py")):
        (tmp_path / f"patch_{number}.py").write_text(patch.applied_to((ROOT / patch.file).read_text()))
    rules = ["--isolated", "--no-cache", "--select", "F821,F822,F823", "--target-version", "py311"]
    check = [sys.executable, "-m", "ruff", "check", *rules, str(tmp_path)]
    ran = subprocess.run(check, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_every_promise_has_a_mutation_when_one_is_removed() -> None:
    assert {patch.promise for patch in PATCHES} == set(range(1, PROMISES + 1))
    assert len({patch.name for patch in PATCHES}) == len(PATCHES) >= MIN_PATCHES


def test_promises_page_lists_all_mutations_when_one_is_added() -> None:
    page = (ROOT / "docs" / "promises.md").read_text()
    section = page.partition("## Mutations")[2]
    listed = {(int(promise), name) for promise, name in re.findall(r"^\| (\d+) \| ([^|]+?) \|", section, re.MULTILINE)}
    assert listed == {(patch.promise, patch.name) for patch in PATCHES}
