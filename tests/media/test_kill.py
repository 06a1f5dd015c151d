"""A run killed with SIGKILL at any point resumes from its finished units, and its output has the same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.media.clips import make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 200
RECORD = "output.json"
KILLS = 3
RACERS = 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return over three minutes of tiny frames with audio: five units in the profile with the shortest units."""
    codec = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "100")
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return make_clip(path, frames=1900, rate="10", codec=codec, audio_s=190.0, size="96x54")


@pytest.fixture(scope="module")
def undisturbed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a run that was not killed."""
    output = tmp_path_factory.mktemp("undisturbed") / "output"
    run = _start(clip, output)
    log = _log(run)
    assert run.returncode == 0, log
    return output


def _start(clip: Path, output: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*(sys.executable, "-m", "tasks.transcode", str(clip), str(output)), *("--profile", "fast", "--parallel", "2")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _log(run: subprocess.Popen[str]) -> str:
    return run.communicate(timeout=LIMIT_S)[1]


def _media(output: Path) -> dict[str, bytes]:
    """Return all files of an output except the units' records, which contain CPU times, and the plan."""
    files = (path for path in output.rglob("*") if path.is_file() and path.name not in {RECORD, "plan.json"})
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}


def _finished(output: Path) -> dict[str, tuple[int, int]]:
    """Return inode and mtime, which a rewrite changes, of every file of the units that have a record."""
    units = [record.parent for record in output.glob(f"units/*/{RECORD}")]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for unit in units for path in unit.iterdir()}


def _written_bytes(output: Path) -> int:
    total = 0
    for path in output.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # renamed or deleted since it was listed
    return total


def _kill_at(run: subprocess.Popen[str], output: Path, written_bytes: float) -> None:
    """Kill the run itself once the output has that many bytes. A run that has finished by then must have succeeded."""
    wait_for(
        lambda: run.poll() is not None or _written_bytes(output) >= written_bytes,
        limit_s=LIMIT_S,
        what=f"{written_bytes:.0f} bytes of output",
    )
    run.send_signal(signal.SIGKILL)
    log = _log(run)
    assert run.returncode in {0, -signal.SIGKILL}, log


def _killed_again_and_again(clip: Path, output: Path, shares: Sequence[float], whole_bytes: int) -> None:
    for share in sorted(shares):
        run = _start(clip, output)
        before = _finished(output)
        _kill_at(run, output, share * whole_bytes)
        after = _finished(output)
        assert {path: after[path] for path in before} == before, "a finished unit was redone"


@pytest.mark.long
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))], ids=lambda seed: f"seed {seed}"
)
def test_finished_units_are_kept_and_bytes_are_the_same_when_killed(
    seed: int, clip: Path, undisturbed: Path, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    output = tmp_path / "output"
    _killed_again_and_again(clip, output, [rng.random() for _ in range(KILLS)], _written_bytes(undisturbed))
    before = _finished(output)
    run = _start(clip, output)
    log = _log(run)
    assert run.returncode == 0, log
    after = _finished(output)
    assert {path: after[path] for path in before} == before, "a finished unit was redone"
    # Byte for byte, and without remainders of the killed runs.
    assert _media(output) == _media(undisturbed)


@pytest.mark.long
def test_one_of_eight_runs_publishes_when_they_race_for_a_folder(clip: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    racers = [_start(clip, output) for _ in range(RACERS)]
    ends = [(_log(racer), racer.returncode) for racer in racers]
    published = [log for log, code in ends if code == 0 and "already finished" not in log]
    assert len(published) == 1, ends
    # The others found the folder in use or, if they were late, nothing left to do.
    others = [(log, code) for log, code in ends if log not in published]
    assert all(code == 0 or (code == 1 and "[FOLDER_IN_USE]" in log) for log, code in others), others
    assert _media(output) == _media(undisturbed)
