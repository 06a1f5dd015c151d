"""`scripts/test --mutations [NAME...]`: takes one protection after the other out of a copy of the project; tests must fail then.

The copy lies in a temporary folder; the project itself is never touched, and production code has no switch for any of this. First
the named tests run in the unharmed copy, where they must pass. Ends with a table; exit code 1 if a patch was not caught.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutations.failures import FAILURES_FILE, PROMISE
from tests.mutations.patches import PATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.mutations.patch import Patch

ROOT = Path(__file__).parents[2]
LIMIT_S = 900.0
PYTEST_TESTS_FAILED = 1
"""docs.pytest.org, "Exit codes": some of the tests failed; 2 and above are errors of another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one patch."""

    patch: Patch
    is_caught: bool
    seconds: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of pytest: its exit code, what it printed, and how its first failure came about (see `failures`)."""

    returncode: int
    said: str
    failure: str


def main() -> int:
    """Run the patches that are named, or all of them."""
    parser = argparse.ArgumentParser(prog="scripts/test --mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="patches to try; all without any")
    names = parser.parse_args().names
    if unknown := set(names) - {patch.name for patch in PATCHES}:
        parser.error(f"there is no patch named {', '.join(sorted(unknown))}")
    chosen = [patch for patch in PATCHES if not names or patch.name in names]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder)
        copy_project(copy)
        print(f"{len(chosen)} patches. First all their tests, on the unharmed copy ...", flush=True)
        for long in (False, True):
            tests = sorted({test for patch in chosen if patch.long is long for test in patch.tests})
            ran = run_tests(copy, tests, long=long) if tests else None
            if ran is not None and ran.returncode:
                print(ran.said)
                print(f"These tests fail without any patch ({ran.failure}): nothing can be said.")
                return 1
        verdicts = [try_patch(copy, patch) for patch in chosen]
    show_table(verdicts)
    return 0 if all(verdict.is_caught for verdict in verdicts) else 1


def copy_project(folder: Path) -> None:
    """Copy what git tracks, and what is new and not ignored, as it is in the working tree."""
    listed = subprocess.run(
        [shutil.which("git") or "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def try_patch(copy: Path, patch: Patch) -> Verdict:
    """Apply the patch, run its tests, and take it back."""
    file = copy / patch.file
    unharmed = file.read_text()
    began_s = time.monotonic()
    try:
        file.write_text(patch.applied_to(unharmed))
        ran = run_tests(copy, patch.tests, long=patch.long)
    finally:
        file.write_text(unharmed)
    is_caught = ran.returncode == PYTEST_TESTS_FAILED and ran.failure == PROMISE
    words = "caught" if is_caught else "NOT CAUGHT" if ran.returncode == 0 else f"NO VERDICT: {ran.failure}"
    verdict = Verdict(patch=patch, is_caught=is_caught, seconds=time.monotonic() - began_s, words=words)
    print(f"  {patch.name}: {words}, {verdict.seconds:.0f} s", flush=True)
    if not is_caught:
        print(ran.said[-4000:])
    return verdict


def run_tests(copy: Path, tests: Iterable[str], *, long: bool) -> Ran:
    """Run tests in the copy, on a stack of its own, until the first that fails."""
    quiet = ("-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "tests.mutations.failures")
    command = [sys.executable, "-B", "-m", "pytest", *quiet, *(["--long"] if long else []), *tests]
    with tempfile.NamedTemporaryFile(mode="r", prefix="mutations-failures-") as failures:
        environment = {**os.environ, FAILURES_FILE: failures.name}
        try:
            ran = subprocess.run(
                command,
                cwd=copy,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            # No verdict: a test that hangs says nothing about what it would have found.
            return Ran(returncode=-1, said="", failure=f"not done within {LIMIT_S:g} s")
        first, _, _ = failures.readline().partition("\t")
    return Ran(returncode=ran.returncode, said=ran.stdout, failure=first or f"exit code {ran.returncode}")


def show_table(verdicts: Sequence[Verdict]) -> None:
    """Promise, patch, verdict, seconds."""
    width = max(len(verdict.patch.name) for verdict in verdicts)
    print(f"\n{'promise':>7}  {'patch':<{width}}  {'verdict':<12} seconds")
    for verdict in sorted(verdicts, key=lambda each: each.patch.promise):
        patch = verdict.patch
        print(f"{patch.promise:>7}  {patch.name:<{width}}  {verdict.words:<12} {verdict.seconds:7.1f}")
    caught = sum(verdict.is_caught for verdict in verdicts)
    print(f"{caught} of {len(verdicts)} caught, {sum(verdict.seconds for verdict in verdicts):.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
