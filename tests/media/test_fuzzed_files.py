"""Two thousand damaged files: none hangs, none ends without a code, and what comes out of the others keeps all rules."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRejectedError, TranscodeError, make_plan, probe_source
from tasks.transcode.cli.local_run import finish_run, start_run
from tests.media.fuzzed_files import SEEDS, make_seed, mutant_of
from tests.media.output_checks import check_output
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

MUTANTS_OF_EACH = 134
"""2,010 in all."""

REMEMBERED = {
    "a packet far ahead of the others": ("flv", 128),
    "pictures behind the end of the clock": ("flv", 18),
    "next to no packet that decodes": ("mp4", 108),
    "sound that changes its format on the way": ("ps", 26),
}
"""Mutants that the probe once took and the encoder failed on."""

VERDICT_S = 20
FRAMES_ENCODED = 1_000


def _encoded(path: Path, output: Path) -> str:
    """Return what became of a file that the probe took."""
    try:
        run = start_run(path, output, SMALL, threads=1)
        finish_run(run, at_once=1, progress=lambda *_: None, stop=threading.Event())
    except TranscodeError as error:
        return error.code
    check_output(output)
    return "output"


@pytest.mark.parametrize("name", REMEMBERED)
def test_file_is_encoded_or_refused_by_the_probe_when_it_is_damaged(name: str, tmp_path: Path) -> None:
    kind, number = REMEMBERED[name]
    seed = make_seed(kind, tmp_path)
    path = tmp_path / f"mutant{seed.suffix}"
    path.write_bytes(mutant_of(seed.read_bytes(), kind, number))
    try:
        probe_source(path)
    except InputRejectedError:
        return
    assert _encoded(path, tmp_path / "output") == "output"


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", SEEDS)
def test_every_mutant_gets_a_final_status_when_a_file_is_damaged(kind: str, tmp_path: Path) -> None:
    seed = make_seed(kind, tmp_path)
    whole = seed.read_bytes()
    path = tmp_path / f"mutant{seed.suffix}"
    verdicts: Counter[str] = Counter()
    for number in range(MUTANTS_OF_EACH):
        path.write_bytes(mutant_of(whole, kind, number))
        started = time.monotonic()
        try:
            plan = make_plan(probe_source(path), SMALL, threads=1)
        except InputRejectedError as refusal:
            verdicts[refusal.code] += 1
        else:
            verdicts["planned"] += 1
            if plan.frames <= FRAMES_ENCODED:
                verdicts[f"then {_encoded(path, tmp_path / str(number))}"] += 1
        assert time.monotonic() - started < VERDICT_S, f"mutant {number}"
    sys.stdout.write(f"{kind}: {dict(verdicts.most_common())}\n")
    assert {verdict for verdict in verdicts if verdict.startswith("then ")} <= {"then output"}
