"""Two thousand fuzzed files: none hangs, each is rejected with a code or its output passes all checks."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRejectedError, TranscodeError, make_plan, probe_source
from tasks.transcode.cli.local_run import finish_run, start_run
from tests.media.fuzzed_files import SEEDS, fuzzed, make_seed
from tests.media.output_checks import check_output
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

FILES_PER_KIND = 134
"""2,010 in all."""

REGRESSIONS = {
    "a packet far ahead of the others": ("flv", 128),
    "frames after the end of the clock": ("flv", 18),
    "hardly any packet that decodes": ("mp4", 108),
    "audio whose format changes midway": ("ps", 26),
}
"""Fuzzed files that the probe once accepted and that made the encoder fail."""

LIMIT_S = 20
FRAMES_ENCODED = 1_000


def _encoded(path: Path, output: Path) -> str:
    """Return the result of a file that the probe accepted: an error code, or `output`."""
    try:
        run = start_run(path, output, SMALL, threads=1)
        finish_run(run, parallel=1, progress=lambda *_: None, stop=threading.Event())
    except TranscodeError as error:
        return error.code
    check_output(output)
    return "output"


@pytest.mark.few(2)
@pytest.mark.parametrize("name", REGRESSIONS)
def test_file_is_encoded_or_rejected_by_the_probe_when_it_is_damaged(name: str, tmp_path: Path) -> None:
    kind, number = REGRESSIONS[name]
    seed = make_seed(kind, tmp_path)
    path = tmp_path / f"fuzzed{seed.suffix}"
    path.write_bytes(fuzzed(seed.read_bytes(), kind, number))
    try:
        probe_source(path)
    except InputRejectedError:
        return
    assert _encoded(path, tmp_path / "output") == "output"


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", SEEDS)
def test_fuzzed_file_is_rejected_or_encoded_when_damaged_at_random(kind: str, tmp_path: Path) -> None:
    seed = make_seed(kind, tmp_path)
    whole = seed.read_bytes()
    path = tmp_path / f"fuzzed{seed.suffix}"
    results: Counter[str] = Counter()
    for number in range(FILES_PER_KIND):
        path.write_bytes(fuzzed(whole, kind, number))
        started = time.monotonic()
        try:
            plan = make_plan(probe_source(path), SMALL, threads=1)
        except InputRejectedError as rejection:
            results[rejection.code] += 1
        else:
            results["planned"] += 1
            if plan.frames <= FRAMES_ENCODED:
                results[f"then {_encoded(path, tmp_path / str(number))}"] += 1
        assert time.monotonic() - started < LIMIT_S, f"fuzzed file {number}"
    sys.stdout.write(f"{kind}: {dict(results.most_common())}\n")
    assert {result for result in results if result.startswith("then ")} <= {"then output"}
