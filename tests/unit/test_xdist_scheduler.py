"""The real pytest-xdist distributes tests by file, and those that only compute to the low-priority process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.xdist_scheduler import SIMULATIONS

ROOT = Path(__file__).parents[2]
LOWEST = 19
NICE = 10
QUICK = ("tests/database/services/test_one.py", "tests/unit/test_two.py")
OTHERS = ("tests/integration/test_one.py", "tests/media/test_two.py", "tests/browser/test_three.py")

_TEST = """
import os, pytest
@pytest.mark.parametrize("turn", range(6))
def test_it(turn):
    with open("log", "a") as log:
        print(__file__, os.environ["PYTEST_XDIST_WORKER"], os.nice(0), file=log)
"""


@pytest.fixture
def distributed(tmp_path: Path) -> list[tuple[str, str, int]]:
    """File, process and priority of each test of a small project, in the order in which they ran."""
    for name in (*SIMULATIONS, *QUICK, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(_TEST)
    processes = ["--tx", "2*popen", "--tx", f"popen//nice={NICE}", "--dist", "loadfile", "--no-loadscope-reorder"]
    plugins = ["-p", "xdist", "-p", "tests.xdist_scheduler"]
    # The plugin is loaded from the project, but distributes the tests of pytest's working folder.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--import-mode",
        "importlib",
        "--rootdir",
        ".",
        *plugins,
        *processes,
    ]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    return [(str(Path(file).relative_to(tmp_path)), process, int(nice)) for file, process, nice in rows]


def test_scheduler_keeps_files_in_one_process_when_it_distributes_tests(
    distributed: list[tuple[str, str, int]],
) -> None:
    assert len(distributed) == 6 * len({*SIMULATIONS, *QUICK, *OTHERS})
    for file in (*QUICK, *OTHERS):
        assert len({process for name, process, _ in distributed if name == file}) == 1, distributed
    lowest = min(os.nice(0) + NICE, LOWEST)
    if os.nice(0) == LOWEST:
        pytest.skip("these tests run with the lowest priority themselves")
    low = [name for name, _, nice in distributed if nice == lowest]
    assert low[0] == SIMULATIONS[0]
    assert set(low) <= {*SIMULATIONS, *QUICK}
