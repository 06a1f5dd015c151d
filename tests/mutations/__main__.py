"""`scripts/test --mutations [NAME...]`: removes one safeguard at a time; its tests must fail.

The patches are applied to a copy of the project in a temporary folder. The project itself is never
changed, and production code has no switch for this. First the named tests run in the unpatched
copy, where they must pass. Then two patches are tried at a time, each in a copy of its own. The run
ends with a table; the exit code is 1 if a patch was not caught.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.mutations.failures import FAILURES_FILE, PROMISE
from tests.mutations.patches import PATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.mutations.patch import Patch

ROOT = Path(__file__).parents[2]
LIMIT_S = 900.0
UNPATCHED_LIMIT_S = 3600.0
COPIES = 2
"""Patches tried at a time. A test needs about one core with its PostgreSQL and Redis."""
PYTEST_TESTS_FAILED = 1
"""docs.pytest.org, "Exit codes": some tests failed. Codes of 2 and above are other errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of one patch."""

    patch: Patch
    is_caught: bool
    seconds: float
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PytestRun:
    """One run of pytest: exit code, output, and the kind of its first failure (see `failures`)."""

    returncode: int
    output: str
    failure: str


def main() -> int:
    """Try the named patches, or all of them."""
    parser = argparse.ArgumentParser(prog="scripts/test --mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="patches to try (default: all)")
    names = parser.parse_args().names
    if unknown := set(names) - {patch.name for patch in PATCHES}:
        parser.error(f"there is no patch named {', '.join(sorted(unknown))}")
    chosen = [patch for patch in PATCHES if not names or patch.name in names]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        # Not the folder itself, which only its owner may enter: some tests run as another user.
        copies = [Path(folder, f"project-{number}") for number in range(COPIES)]
        for copy in copies:
            copy_project(copy)
        print(f"{len(chosen)} patches. First, all their tests on the unpatched copy ...", flush=True)
        for long in (False, True):
            tests = sorted({test for patch in chosen if patch.long is long for test in patch.tests})
            ran = run_unpatched(copies[0], tests, long=long) if tests else None
            if ran is not None and ran.returncode:
                print(ran.output)
                print(f"These tests fail without a patch ({ran.failure}), so no patch can be tried.")
                return 1
        results = try_patches(copies, chosen)
    show_table(results)
    return 0 if all(result.is_caught for result in results) else 1


def copy_project(folder: Path) -> None:
    """Copy the working tree: tracked files, and new ones that are not ignored."""
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


def run_unpatched(copy: Path, tests: Iterable[str], *, long: bool) -> PytestRun:
    """Run tests in the unpatched copy, in as many processes as patches are tried at a time."""
    return run_tests(
        copy, ("--tx", f"{COPIES}*popen", "--dist", "loadfile", *tests), long=long, limit_s=UNPATCHED_LIMIT_S
    )


def try_patches(copies: Sequence[Path], patches: Iterable[Patch]) -> list[Result]:
    """Try each patch in the next free copy."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def try_in_free_copy(patch: Patch) -> Result:
        copy = free.get()
        try:
            return try_patch(copy, patch)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as threads:
        return list(threads.map(try_in_free_copy, patches))


def try_patch(copy: Path, patch: Patch) -> Result:
    """Apply the patch, run its tests, and revert it."""
    file = copy / patch.file
    original = file.read_text()
    began_s = time.monotonic()
    try:
        file.write_text(patch.applied_to(original))
        ran = run_tests(copy, patch.tests, long=patch.long)
    finally:
        file.write_text(original)
    is_caught = ran.returncode == PYTEST_TESTS_FAILED and ran.failure == PROMISE
    status = "caught" if is_caught else "NOT CAUGHT" if ran.returncode == 0 else f"INCONCLUSIVE: {ran.failure}"
    result = Result(patch=patch, is_caught=is_caught, seconds=time.monotonic() - began_s, status=status)
    print(f"  {patch.name}: {status}, {result.seconds:.0f} s", flush=True)
    if not is_caught:
        print(ran.output[-4000:])
    return result


def run_tests(copy: Path, tests: Iterable[str], *, long: bool, limit_s: float = LIMIT_S) -> PytestRun:
    """Run tests in the copy, on a separate stack, until the first failure. Further options may be among `tests`."""
    quiet = ("-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "tests.mutations.failures")
    command = [sys.executable, "-B", "-m", "pytest", *quiet, "--every-case", *(["--long"] if long else []), *tests]
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
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            # Inconclusive: a test that hangs does not show what it would have found.
            return PytestRun(returncode=-1, output="", failure=f"not done within {limit_s:g} s")
        first, _, _ = failures.readline().partition("\t")
    return PytestRun(returncode=ran.returncode, output=ran.stdout, failure=first or f"exit code {ran.returncode}")


def show_table(results: Sequence[Result]) -> None:
    """Print promise, patch, result and seconds of each patch."""
    width = max(len(result.patch.name) for result in results)
    print(f"\n{'promise':>7}  {'patch':<{width}}  {'result':<12} seconds")
    for result in sorted(results, key=lambda each: each.patch.promise):
        patch = result.patch
        print(f"{patch.promise:>7}  {patch.name:<{width}}  {result.status:<12} {result.seconds:7.1f}")
    caught = sum(result.is_caught for result in results)
    print(f"{caught} of {len(results)} caught, {sum(result.seconds for result in results):.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
