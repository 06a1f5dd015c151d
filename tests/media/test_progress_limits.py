"""A slow machine is not a damaged file: a child is ended if it does nothing, but never because of time alone."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import EncodeError, InputSuspectError, probe_source
from tasks.transcode.probe import child, source_file
from tasks.transcode.sandbox import process
from tasks.transcode.sandbox.ffmpeg import engine_id
from tasks.transcode.sandbox.idle import IdleWatch
from tasks.transcode.sandbox.limits import ChildLimits, probe_limits
from tasks.transcode.sandbox.process import ChildResult, run_child
from tests.media.as_in_batch import without_seccomp
from tests.media.clips import make_clip
from tests.polling import wait_for
from tests.processes import children_of

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
IDLE_S = 0.5
HELD_S = 4 * IDLE_S
LIMITS = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=0, idle_s=IDLE_S)
PROBE = "tasks.transcode.probe.probe"


def _run(program: str, *, on_wait: Callable[[int], None] = lambda _: None, **options: Any) -> tuple[int, str]:
    printed = bytearray()
    end = run_child(
        [sys.executable, "-c", program], limits=LIMITS, on_output=printed.extend, on_wait=on_wait, **options
    )
    return end.returncode, printed.decode()


def _child_with(word: str) -> int:
    """Return the id of the child of this process with a word in its command line."""
    (found,) = [pid for pid in children_of(os.getpid()) if word in Path(f"/proc/{pid}/cmdline").read_text()]
    return found


class Later:
    """Callback that acts once, `after_s` after it was first called."""

    def __init__(self, act: Callable[[], object], *, after_s: float) -> None:
        self._act, self._after_s = act, after_s
        self._since_s: float | None = None
        self.has_acted = False

    def __call__(self, _: int) -> None:
        self._since_s = self._since_s or time.monotonic()
        if not self.has_acted and time.monotonic() > self._since_s + self._after_s:
            self.has_acted = True
            self._act()


@pytest.mark.timeout(30)
def test_child_is_ended_when_it_sleeps_without_progress() -> None:
    with pytest.raises(EncodeError, match="NO_PROGRESS"):
        _run("import signal; signal.alarm(20); signal.pause()")


def test_child_is_ended_when_all_of_its_threads_wait_for_each_other() -> None:
    with pytest.raises(EncodeError, match="NO_PROGRESS"):
        _run("import threading; threading.Thread(target=threading.Event().wait).start()")


def test_child_continues_when_it_was_stopped_for_longer_than_it_may_sleep() -> None:
    resume = Later(lambda: os.kill(_child_with("continued"), signal.SIGCONT), after_s=HELD_S)
    result = _run("import os, signal; os.kill(os.getpid(), signal.SIGSTOP); print('continued')", on_wait=resume)
    assert (result, resume.has_acted) == ((0, "continued\n"), True)


def test_child_continues_when_it_waited_for_a_disk_for_longer_than_it_may_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "module_command", without_seccomp)
    # A parent that waits for its vfork child is in the same state of the kernel as one that waits for a disk.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = f"""
import os
action = (os.POSIX_SPAWN_OPEN, 0, {str(fifo)!r}, os.O_RDONLY, 0)
os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {{}}, file_actions=[action]), 0)
print("continued")
"""
    answer = Later(lambda: os.close(os.open(fifo, os.O_WRONLY)), after_s=HELD_S)
    result = _run(program, on_wait=answer, paths={"read": [fifo]})
    assert (result, answer.has_acted) == ((0, "continued\n"), True)


def test_version_of_ffmpeg_is_read_when_the_machine_stands_still_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\nkill -STOP $$\necho ffmpeg version n0.0 of this test\n")
    script.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(script))

    def resume() -> None:
        pid = wait_for(lambda: next(filter(_is_stopped, children_of(os.getpid())), 0), what="a stopped child")
        since_s = time.monotonic()
        wait_for(lambda: time.monotonic() > since_s + HELD_S, what="time to pass")
        os.kill(pid, signal.SIGCONT)

    with ThreadPoolExecutor(1) as threads:
        resumed = threads.submit(resume)
        assert engine_id().endswith("/n0.0")
        resumed.result()


def _is_stopped(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


@pytest.mark.few(2)
@pytest.mark.parametrize("sign", ["reading", "writing", "computing", "printing"])
def test_child_continues_when_it_makes_progress_of_any_kind(sign: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    act = {
        "reading": f"open({str(path)!r}).read()",
        "writing": f"open({str(path)!r}, 'w').write('y')",
        "computing": "sum(range(3_000_000))",
        "printing": "print('x', flush=True)",
    }[sign]
    program = f"import time\nfor _ in range({int(HELD_S / 0.2)}):\n    {act}\n    time.sleep(0.2)\nprint('continued')"
    limits = replace(LIMITS, file_bytes=MIB)
    printed = bytearray()
    end = run_child(
        [sys.executable, "-c", program],
        limits=limits,
        on_output=printed.extend,
        paths={"read": [path], "write": [tmp_path]},
    )
    assert end.returncode == 0
    assert printed.endswith(b"continued\n")


def test_time_in_which_the_whole_machine_stood_still_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    sleeper = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)])
    try:
        watch = IdleWatch(sleeper)

        def is_idle() -> bool:
            watch.look()
            return watch.idle_s > 0

        wait_for(is_idle, what="a sleeping child")
        idle_s = watch.idle_s
        now_s = time.monotonic() + 1_000
        monkeypatch.setattr("tasks.transcode.sandbox.idle.time.monotonic", lambda: now_s)
        watch.look()
        assert idle_s < watch.idle_s <= idle_s + 1
    finally:
        os.close(reader)
        os.close(writer)
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)


def _probe_while_stopped(clip: Path, *, stopped_s: float) -> float:
    """Probe a file while its child is stopped; return for how long it was."""
    stopped_at_s: list[float] = []
    resumed_at_s: list[float] = []

    def watch(_: int) -> None:
        if resumed_at_s:
            return
        probing = _child_with("probe.child")
        if not stopped_at_s:
            os.kill(probing, signal.SIGSTOP)
            stopped_at_s.append(time.monotonic())
        elif time.monotonic() > stopped_at_s[0] + stopped_s:
            os.kill(probing, signal.SIGCONT)
            resumed_at_s.append(time.monotonic())

    assert len(probe_source(clip, reading=watch).frame_pts) == 30
    return resumed_at_s[0] - stopped_at_s[0]


def test_good_file_is_described_when_its_machine_stood_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{PROBE}.probe_limits", lambda size: replace(probe_limits(size), idle_s=IDLE_S))
    assert _probe_while_stopped(make_clip(tmp_path / "a.mp4", frames=30), stopped_s=HELD_S) > HELD_S


@pytest.mark.long
def test_good_file_is_described_when_its_machine_stood_still_for_90_s(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30)
    assert _probe_while_stopped(clip, stopped_s=90) > 90


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (ChildResult(-signal.SIGSEGV, 0, ""), "UNREADABLE"),
        (ChildResult(-signal.SIGBUS, 0, ""), "UNREADABLE"),
        (ChildResult(-signal.SIGABRT, 0, ""), "UNREADABLE"),
        (ChildResult(-signal.SIGXCPU, 0, ""), "TOO_DEMANDING"),
        (ChildResult(1, 0, "MemoryError"), "TOO_DEMANDING"),
        (EncodeError("NO_PROGRESS", "The process made no progress for 120 s and was killed."), "TOO_DEMANDING"),
    ],
    ids=["SIGSEGV", "SIGBUS", "SIGABRT", "CPU time", "memory", "hang"],
)
def test_file_is_only_suspected_when_a_machine_may_be_at_fault(
    end: ChildResult | EncodeError, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> ChildResult:
        if isinstance(end, EncodeError):
            raise end
        return end

    clip = make_clip(tmp_path / "a.mp4", frames=1)
    monkeypatch.setattr(f"{PROBE}.run_child", run)
    with pytest.raises(InputSuspectError) as caught:
        probe_source(clip)
    assert caught.value.code == code


class _DyingDisk(io.FileIO):
    """A file of which only the first part can be read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 4_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(min(1_000, size or 0)) or b""


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_file_is_not_rejected_when_the_disk_cannot_be_read(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / f"a.{ending}", frames=300)
    assert clip.stat().st_size > 8_000
    demuxer = {"mp4": "mov", "mkv": "matroska", "ts": "mpegts"}[ending]
    monkeypatch.setattr(source_file, "open", lambda path, *_, **__: _DyingDisk(path), raising=False)
    monkeypatch.setattr(sys, "argv", ["child", str(clip), demuxer])
    child.main()
    result = json.loads(capsys.readouterr().out)
    assert result == {"unreadable": "Input/output error"}

    def run(*_: object, on_output: Callable[[bytes], None], **__: object) -> ChildResult:
        on_output(json.dumps(result).encode())
        return ChildResult(0, 0, "")

    monkeypatch.setattr(f"{PROBE}.run_child", run)
    with pytest.raises(EncodeError, match="SOURCE_UNREADABLE"):
        probe_source(clip)


class SlowDisk:
    """A control group whose processes read this slowly from the disk of a folder (blkio of cgroup v1, io of v2)."""

    def __init__(self, folder: Path, *, bytes_per_s: int) -> None:
        device = f"{os.major(folder.stat().st_dev)}:{os.minor(folder.stat().st_dev)}"
        name = f"batchreel-test-{os.getpid()}"
        self._group = Path("/sys/fs/cgroup/blkio", name)
        limit, value = "blkio.throttle.read_bps_device", f"{device} {bytes_per_s}"
        if not self._group.parent.is_dir():
            self._group, limit, value = Path("/sys/fs/cgroup", name), "io.max", f"{device} rbps={bytes_per_s}"
        try:
            self._group.mkdir()
            (self._group / limit).write_text(value)
        except OSError as error:
            with suppress(OSError):
                self._group.rmdir()
            pytest.skip(f"reading cannot be slowed down here, which takes root and a controller of disks: {error}")

    def enter(self) -> None:
        """Move this process, and with it the children that it starts, into the group."""
        (self._group / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        """Leave the group and remove it."""
        (self._group.parent / "cgroup.procs").write_text(str(os.getpid()))
        wait_for(lambda: not (self._group / "cgroup.procs").read_text(), what="the end of the slow processes")
        self._group.rmdir()


@pytest.mark.long
def test_good_file_is_described_when_its_disk_is_starved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{PROBE}.probe_limits", lambda size: replace(probe_limits(size), idle_s=IDLE_S))
    clip = make_clip(
        tmp_path / "a.mp4", frames=30, filters="noise=alls=100:allf=t", codec=("-c:v", "mpeg4", "-q:v", "1")
    )
    with clip.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    disk = SlowDisk(tmp_path, bytes_per_s=clip.stat().st_size // 8)
    started_s = time.monotonic()
    try:
        disk.enter()
        assert len(probe_source(clip).frame_pts) == 30
        assert time.monotonic() - started_s > 4
    finally:
        disk.remove()
