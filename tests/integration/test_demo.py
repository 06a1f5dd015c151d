"""`scripts/demo` as a newcomer runs it: one command, all real components, and a clear message in every case."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.integration.stack_processes import PROJECT_ROOT, StackProcesses, clean_environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def running(folder: Path) -> Iterator[StackProcesses]:
    """Yield what finds the processes of a demo in the folder; kill the remaining ones afterwards."""
    processes = StackProcesses(folder)
    yield processes
    processes.end()


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return _make_clip(folder / "a [bold]short :smile: clip.mp4", video_source="testsrc=size=320x180:rate=25:duration=2")


@pytest.fixture(scope="module")
def long_clip(folder: Path) -> Path:
    """Return a clip that is quick to make, but takes longer to encode than any of these tests needs."""
    return _make_clip(folder / "long.mp4", video_source="color=size=1280x720:rate=25:duration=60")


def _make_clip(path: Path, *, video_source: str) -> Path:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        video_source,
        "-pix_fmt",
        "yuv420p",
        "-preset",
        "ultrafast",
        path,
    ]
    subprocess.run(command, check=True)
    return path


def _start(folder: Path, *arguments: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROJECT_ROOT / "scripts" / "demo", *arguments, "--state", str(folder / "state")],
        cwd=folder,
        env=clean_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell starts its background jobs with SIGINT ignored, which would make Ctrl-C untestable
        # here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a few instructions
    )


def test_video_becomes_playable_when_a_newcomer_runs_the_demo(
    folder: Path, clip: Path, running: StackProcesses
) -> None:
    demo = _start(folder, clip.name)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, output
    assert "DescribeJobs returned SUCCEEDED" in output
    assert re.search(r"180p .* 320 x 180 .* kbit/s", output)
    assert f"Uploaded {clip.name}" in output, "the name is printed without interpreting markup"
    playlist = re.search(r"playlist +(/.*master\.m3u8)", output)
    assert playlist, output
    assert Path(playlist[1]).read_text().startswith("#EXTM3U")
    assert "\x1b" not in output, "escape codes although the output is not a terminal"
    assert not running.find()


@pytest.mark.long
def test_demo_explains_the_failure_when_the_file_is_not_a_video(folder: Path, running: StackProcesses) -> None:
    (folder / "homework.mp4").write_bytes(b"Dear teacher, " * 500)
    demo = _start(folder, "homework.mp4")
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 3, output
    assert "Not playable: This file is not a video" in output
    assert "1 attempt" in output
    assert not running.find()


def test_demo_names_the_file_when_it_does_not_exist(folder: Path) -> None:
    demo = _start(folder, "nowhere.mp4")
    output, _ = demo.communicate(timeout=60)
    assert (demo.returncode, f"there is no file {folder / 'nowhere.mp4'}" in output) == (2, True)


@pytest.mark.long
def test_demo_names_the_part_that_ended_when_the_celery_worker_is_killed(
    folder: Path, long_clip: Path, running: StackProcesses
) -> None:
    demo = _start(folder, long_clip.name)
    assert demo.stdout is not None
    assert any("Uploaded" in line for line in demo.stdout)
    for process_id, line in running.find().items():
        if "celery -A project worker" in line and "lifeline.py" not in line:
            with suppress(ProcessLookupError):  # killing one may have ended another
                os.kill(process_id, signal.SIGKILL)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1, output
    assert "Celery worker exited unexpectedly" in output
    assert f"Logs: {folder / 'state' / 'logs'}" in output
    assert "Traceback" not in output
    assert not running.find()


@pytest.mark.long
def test_demo_leaves_no_process_when_it_is_interrupted_on_a_terminal(
    folder: Path, long_clip: Path, running: StackProcesses
) -> None:
    terminal, demo_side = pty.openpty()
    demo = _start(folder, long_clip.name, output=demo_side)
    os.close(demo_side)
    shown = _read(terminal, until=b"\x1b[2K")
    assert "\x1b[2K" in shown, f"no line was redrawn: {shown}"
    os.killpg(demo.pid, signal.SIGINT)
    shown = _read(terminal, until=b"No process is left running")
    assert "No process is left running" in shown
    assert demo.wait(timeout=10) == 128 + signal.SIGINT
    os.close(terminal)
    assert not running.find()


def _read(terminal: int, *, until: bytes) -> str:
    """Return what the terminal shows from now until `until`, or until its end."""
    shown = b""
    with suppress(OSError):  # EIO: the other side is closed
        while until not in shown and (part := os.read(terminal, 4096)):
            shown += part
    return shown.decode(errors="replace")
