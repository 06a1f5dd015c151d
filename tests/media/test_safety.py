"""A bad or hostile file harms nothing and gets a reason; whatever is started can be ended."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.transcode import EncodeError, InputRejectedError, StoppedError, encode_video, make_plan, probe_source
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tasks.transcode.sandbox.limits import ChildLimits
from tasks.transcode.sandbox.process import run_child
from tests.media.clips import H264, ffmpeg, make_clip
from tests.media.runs import SMALL
from tests.polling import wait_for

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


def _ended(pid: int) -> bool:
    """Tell whether a process is gone, or a corpse that only waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _watched_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a script in ffmpeg's place that leaves its environment and process id in files, then becomes ffmpeg."""
    script = folder / "ffmpeg"
    script.write_text(
        f'#!/bin/sh\ntr "\\0" "\\n" </proc/$$/environ >"{folder}/environment"\necho $$ >"{folder}/pid.new"\n'
        f'mv "{folder}/pid.new" "{folder}/pid"\nexec "{ffmpeg_binary()}" "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(script))
    return folder / "pid"


def _endless_clip(path: Path) -> Path:
    """Write a clip whose encoding takes minutes, of few bytes: one still picture, held for long, at 720p."""
    return make_clip(path, pictures=1, size="1280x720", filters="loop=-1:1,trim=end_frame=3000", codec=H264)


def _refusal(path: Path) -> InputRejectedError:
    with pytest.raises(InputRejectedError) as caught:
        probe_source(path)
    assert caught.value.code.isupper()
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "EMPTY_FILE", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "NOT_A_VIDEO", "PNG picture"),
        (b"%PDF-1.7 " + bytes(500), "NOT_A_VIDEO", "PDF"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "NOT_A_VIDEO", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "NOT_A_VIDEO", "script"),
        (bytes(range(1, 200)) * 20, "NOT_A_VIDEO", "damaged"),
        (b"\0\0\0\x18ftypmp42" + bytes(3000), "DAMAGED", "export it again"),
        (b"\x1a\x45\xdf\xa3" + bytes(3000), "DAMAGED", "export it again"),
        (b"RIFF\xff\xff\0\0AVI LIST" + bytes(3000), "DAMAGED", "export it again"),
    ],
    ids=["empty", "png", "pdf", "playlist", "script", "noise", "mp4 head", "matroska head", "avi head"],
)
def test_file_is_refused_with_a_reason_when_it_is_no_whole_video(
    content: bytes, code: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "lecture.mp4"
    path.write_bytes(content)
    refusal = _refusal(path)
    assert (refusal.code, words in refusal.message) == (code, True)


def test_file_is_refused_when_its_upload_was_cut_before_the_index(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", pictures=60)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert _refusal(cut).code == "DAMAGED"


def test_file_is_refused_when_no_picture_decodes(tmp_path: Path) -> None:
    whole = bytearray(make_clip(tmp_path / "whole.mp4", pictures=60).read_bytes())
    start = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4
    whole[start:end] = bytes(at * 37 % 251 for at in range(end - start))
    path = tmp_path / "noise.mp4"
    path.write_bytes(whole)
    assert _refusal(path).code == "DAMAGED"


def test_file_is_refused_when_it_holds_nothing_to_play(tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:01,000 --> 00:00:02,500\nHello\n")
    ffmpeg("-i", str(words), "-c:s", "mov_text", str(tmp_path / "words.mp4"))
    assert _refusal(tmp_path / "words.mp4").code == "NOTHING_TO_PLAY"


def test_what_is_left_is_used_when_the_end_of_a_streamable_file_is_missing(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", pictures=240, extra=("-movflags", "+faststart"))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = probe_source(cut)
    assert 1 < source.video_s < 7
    assert "SHORTER_THAN_DECLARED" in source.warnings


def test_no_credential_reaches_ffmpeg_or_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=30)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "DATABASE_URL", "REDIS_URL", "DJANGO_SECRET_KEY"):
        monkeypatch.setenv(name, "canary")
    _watched_ffmpeg(tmp_path, monkeypatch)
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    encode_video(clip, plan, 0, tmp_path, progress=lambda _: None, stop=threading.Event())
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert names == {"LC_ALL", "MALLOC_ARENA_MAX"}

    told = bytearray()
    report = "import os; print(sorted(set(os.environ.values()) & {'canary'}), len(os.environ))"
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=0, deadline_s=20)
    run_child([sys.executable, "-c", report], limits=limits, on_output=told.extend)
    assert told.startswith(b"[] ")


def _network_can_be_left() -> bool:
    flags = "0x40000000" if os.geteuid() == 0 else "0x50000000"
    leave = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare({flags}) != 0)"
    return sys.platform == "linux" and subprocess.run([sys.executable, "-c", leave], check=False).returncode == 0


def test_child_at_work_is_told_from_one_that_hangs_when_nothing_comes_out_of_it() -> None:
    program = "import time\nfile = open('/dev/zero', 'rb')\nfor _ in range(10): file.read(1 << 20); time.sleep(0.1)"
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=30, file_bytes=0, deadline_s=60)
    told: list[int] = []
    run_child([sys.executable, "-c", program], limits=limits, on_output=print, on_wait=told.append)
    grown = [later - earlier for earlier, later in itertools.pairwise(told) if later > earlier]
    assert sum(grown) >= 5 * MIB
    assert len(grown) >= 2


def test_reading_is_told_when_all_before_a_unit_is_decoded_and_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.transcode.sandbox.ffmpeg.PROGRESS_PERIOD_S", 0.0)
    clip = make_clip(tmp_path / "a.mp4")
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    told: list[int] = []
    encode_video(
        clip,
        plan,
        1,
        tmp_path,
        progress=lambda _: None,
        stop=threading.Event(),
        reading=told.append,
        from_beginning=True,
    )
    assert max(told) > 0


def test_child_has_no_network_and_keeps_its_owner_when_the_kernel_allows_it(tmp_path: Path) -> None:
    if not _network_can_be_left():
        pytest.skip("this kernel lets no process leave its network")
    mark = tmp_path / "mark"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        call = f"""
import pathlib, socket
pathlib.Path({str(mark)!r}).touch()
try:
    socket.create_connection({listener.getsockname()!r}, timeout=5)
except OSError:
    print("no network")
"""
        told = bytearray()
        limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=MIB, deadline_s=20)
        assert run_child([sys.executable, "-c", call], limits=limits, on_output=told.extend).returncode == 0
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert told == b"no network\n"
    assert (mark.stat().st_uid, mark.stat().st_gid) == (os.geteuid(), os.getegid())


def test_stop_ends_ffmpeg_within_10_s_when_it_is_in_mid_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = _endless_clip(tmp_path / "a.mp4")
    pid_file = _watched_ffmpeg(tmp_path, monkeypatch)
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    pid_file.unlink(missing_ok=True)
    stop = threading.Event()
    told_at_s: list[float] = []

    def progress(_frames: int) -> None:
        if pid_file.exists():
            told_at_s.append(time.monotonic())
            stop.set()

    with pytest.raises(StoppedError):
        encode_video(clip, plan, 1, tmp_path, progress=progress, stop=stop)
    # From the first word on: how long ffmpeg takes to start is no part of this.
    assert time.monotonic() - told_at_s[0] < 10
    assert _ended(int(pid_file.read_text()))


def test_ffmpeg_ends_when_the_program_around_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = _endless_clip(tmp_path / "a.mp4")
    output = tmp_path / "output"
    first_start = ["-m", "tasks.transcode", str(clip), str(output), "--profile", "fast"]
    pid_file = _watched_ffmpeg(tmp_path, monkeypatch)
    with subprocess.Popen([sys.executable, *first_start], cwd=ROOT, stderr=subprocess.DEVNULL) as program:
        try:
            wait_for((output / "units" / "0000" / "480p.whole").exists, limit_s=60, what="ffmpeg's first file")
        finally:
            program.kill()
    wait_for(lambda: _ended(int(pid_file.read_text())), limit_s=10, what="ffmpeg's end")


def test_silent_child_ends_too_when_its_parent_is_killed() -> None:
    # ffmpeg would also end by writing into a closed pipe, sooner or later; this child never writes again.
    inner = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    outer = (
        "import sys; from tasks.transcode.sandbox.limits import ChildLimits; from tasks.transcode.sandbox.process import run_child; "
        "limits = ChildLimits(memory_bytes=2**29, cpu_s=10, file_bytes=0, deadline_s=60); "
        f"run_child([sys.executable, '-c', {inner!r}], limits=limits, "
        "on_output=lambda told: print(told.decode(), flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", outer], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not _ended(pid)
        parent.kill()
    wait_for(lambda: _ended(pid), limit_s=10, what="the child's end")


def test_child_is_ended_with_a_reason_when_its_deadline_passes() -> None:
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=0, deadline_s=0.5)
    with pytest.raises(EncodeError, match="DEADLINE_PASSED"):
        run_child([sys.executable, "-c", "import signal; signal.pause()"], limits=limits, on_output=print)


def test_child_fails_alone_when_it_wants_more_than_its_limits(tmp_path: Path) -> None:
    def outcome(program: str, **changes: int) -> int:
        limits = ChildLimits(**{"memory_bytes": 512 * MIB, "cpu_s": 10, "file_bytes": MIB, "deadline_s": 30} | changes)
        return run_child([sys.executable, "-c", program], limits=limits, on_output=lambda _: None).returncode

    assert outcome("pass") == 0
    assert outcome(f"bytearray({1024 * MIB})") == 1
    assert outcome("while True: pass", cpu_s=1) in {-signal.SIGXCPU, -signal.SIGKILL}
    assert outcome(f"open({str(tmp_path / 'large')!r}, 'wb').write(bytes({2 * MIB}))") != 0
    assert (tmp_path / "large").stat().st_size <= MIB


def test_nobody_plans_hours_when_a_file_merely_declares_them(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", pictures=30)
    content = bytearray(clip.read_bytes())
    # Matroska's Duration element: its identity, its size (8 bytes), a double in milliseconds.
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = struct.pack(">d", 40 * 3600 * 1000.0)
    clip.write_bytes(content)
    source = probe_source(clip)
    assert source.declared_duration_s == 40 * 3600
    assert "SHORTER_THAN_DECLARED" in source.warnings
    assert make_plan(source, SMALL, threads=1).frames == 30


def test_encode_refuses_a_plan_when_it_was_made_for_another_engine(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=10)
    form = make_plan(probe_source(clip), SMALL, threads=1).to_json() | {"engine": "0/old"}
    plan = type(make_plan(probe_source(clip), SMALL, threads=1)).from_json(form)
    with pytest.raises(EncodeError, match="ENGINE_CHANGED"):
        encode_video(clip, plan, 0, tmp_path, progress=lambda _: None, stop=threading.Event())


def test_failure_names_ffmpegs_last_words_when_it_breaks(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=10)
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    with pytest.raises(EncodeError, match="No such file or directory"):
        encode_video(clip, plan, 0, tmp_path / "absent", progress=lambda _: None, stop=threading.Event())
