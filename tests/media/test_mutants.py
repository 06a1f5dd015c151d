"""Two thousand damaged files: none hangs, none ends without a code, and what comes out of the others keeps all rules."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRefused, TranscodeError, make_plan, probe_source
from tasks.transcode.local_run import finish_run, start_run
from tests.media.mutants import SEEDS, make_seed, mutant_of
from tests.media.output_checks import check_output
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

MUTANTS_OF_EACH = 134
"""2,010 in all."""

ENCODED_SHARE = 20
"""Every 20th of those that may be transcoded is: what the engine refuses, the probe refuses."""

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


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", SEEDS)
def test_every_mutant_gets_a_verdict_when_a_file_is_damaged(kind: str, tmp_path: Path) -> None:
    seed = make_seed(kind, tmp_path)
    whole = seed.read_bytes()
    path = tmp_path / f"mutant{seed.suffix}"
    verdicts: Counter[str] = Counter()
    for number in range(MUTANTS_OF_EACH):
        path.write_bytes(mutant_of(whole, kind, number))
        started = time.monotonic()
        try:
            plan = make_plan(probe_source(path), SMALL, threads=1)
        except InputRefused as refusal:
            verdicts[refusal.code] += 1
        else:
            verdicts["planned"] += 1
            if verdicts["planned"] % ENCODED_SHARE == 1 and plan.frames <= FRAMES_ENCODED:
                verdicts[f"then {_encoded(path, tmp_path / str(number))}"] += 1
        assert time.monotonic() - started < VERDICT_S, f"mutant {number}"
    sys.stdout.write(f"{kind}: {dict(verdicts.most_common())}\n")
    assert {verdict for verdict in verdicts if verdict.startswith("then ")} <= {"then output"}
