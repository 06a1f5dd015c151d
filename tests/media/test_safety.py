"""A bad or hostile file does no harm and is rejected with a reason; every child process can be stopped."""

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
from contextlib import suppress
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
    """Return whether a process is gone, or a zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _watched_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace ffmpeg by a script that writes its environment and process id into files and then executes ffmpeg."""
    script = folder / "ffmpeg"
    script.write_text(
        f'#!/bin/sh\ncommand export -p >"{folder}/environment"\necho $$ >"{folder}/pid"\nexec "{ffmpeg_binary()}" "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(script))
    return folder / "pid"


def _endless_clip(path: Path) -> Path:
    """Write a small file whose encoding takes minutes: one frame at 720p, repeated for 100 s."""
    return make_clip(path, frames=1, size="1280x720", filters="loop=-1:1,trim=end_frame=3000", codec=H264)


def _rejection(path: Path) -> InputRejectedError:
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
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "NOT_A_VIDEO", "PNG image"),
        (b"%PDF-1.7 " + bytes(500), "NOT_A_VIDEO", "PDF"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "NOT_A_VIDEO", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "NOT_A_VIDEO", "script"),
        (bytes(range(1, 200)) * 20, "NOT_A_VIDEO", "damaged"),
        (b"\0\0\0\x18ftypmp42" + bytes(3000), "DAMAGED", "export it again"),
        (b"\x1a\x45\xdf\xa3" + bytes(3000), "DAMAGED", "export it again"),
        (b"RIFF\xff\xff\0\0AVI LIST" + bytes(3000), "DAMAGED", "export it again"),
    ],
    ids=["empty", "png", "pdf", "playlist", "script", "noise", "mp4 header", "matroska header", "avi header"],
)
def test_file_is_rejected_with_a_reason_when_it_is_not_a_whole_video(
    content: bytes, code: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "lecture.mp4"
    path.write_bytes(content)
    rejection = _rejection(path)
    assert (rejection.code, words in rejection.message) == (code, True)


def test_file_is_rejected_when_it_is_truncated_before_its_index(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", frames=60)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert _rejection(cut).code == "DAMAGED"


def test_file_is_rejected_when_no_frame_decodes(tmp_path: Path) -> None:
    whole = bytearray(make_clip(tmp_path / "whole.mp4", frames=60).read_bytes())
    start = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4
    whole[start:end] = bytes(at * 37 % 251 for at in range(end - start))
    path = tmp_path / "noise.mp4"
    path.write_bytes(whole)
    assert _rejection(path).code == "DAMAGED"


def test_file_is_rejected_when_it_has_neither_video_nor_audio(tmp_path: Path) -> None:
    captions = tmp_path / "captions.srt"
    captions.write_text("1\n00:00:01,000 --> 00:00:02,500\nHello\n")
    ffmpeg("-i", str(captions), "-c:s", "mov_text", str(tmp_path / "captions.mp4"))
    assert _rejection(tmp_path / "captions.mp4").code == "NOTHING_TO_PLAY"


@pytest.mark.parametrize(("tag", "name"), [(b"ac-4", "AC-4"), (b"mhm1", "MPEG-H 3D Audio"), (b"xq9z", "xq9z")])
def test_rejection_names_the_codec_when_there_is_only_audio_without_a_decoder(
    tag: bytes, name: str, tmp_path: Path
) -> None:
    path = make_clip(tmp_path / "a.mp4", codec=("-vn",), audio_s=1)
    path.write_bytes(path.read_bytes().replace(b"mp4a", tag).replace(b"esds", b"free"))
    rejection = _rejection(path)
    assert (rejection.code, f"({name})" in rejection.message) == ("UNKNOWN_CODEC", True)


def test_existing_part_is_used_when_a_faststart_file_is_truncated(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", frames=240, extra=("-movflags", "+faststart"))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = probe_source(cut)
    assert 1 < source.video_s < 7
    assert "SHORTER_THAN_DECLARED" in source.warnings


def test_ffmpeg_and_probe_get_no_credentials_when_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "DATABASE_URL", "REDIS_URL", "DJANGO_SECRET_KEY"):
        monkeypatch.setenv(name, "canary")
    _watched_ffmpeg(tmp_path, monkeypatch)
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    encode_video(clip, plan, 0, tmp_path, progress=lambda _: None, stop=threading.Event())
    lines = (tmp_path / "environment").read_text().splitlines()
    names = {line.removeprefix("export ").partition("=")[0] for line in lines}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"LC_ALL", "MALLOC_ARENA_MAX"}  # the others are the shell's own

    printed = bytearray()
    report = "import os; print(sorted(set(os.environ.values()) & {'canary'}), len(os.environ))"
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=0)
    run_child([sys.executable, "-c", report], limits=limits, on_output=printed.extend)
    assert printed.startswith(b"[] ")


def test_read_bytes_are_reported_when_a_child_prints_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(10 * MIB))
    program = f"import time\nfile = open({str(path)!r}, 'rb')\nfor _ in range(10): file.read(1 << 20); time.sleep(0.1)"
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=30, file_bytes=0)
    reported: list[int] = []
    run_child(
        [sys.executable, "-c", program],
        limits=limits,
        on_output=print,
        on_wait=reported.append,
        paths={"read": [path]},
    )
    grown = [later - earlier for earlier, later in itertools.pairwise(reported) if later > earlier]
    assert sum(grown) >= 5 * MIB
    assert len(grown) >= 2


def test_read_bytes_are_reported_when_frames_before_a_unit_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.transcode.sandbox.ffmpeg.PROGRESS_PERIOD_S", 0.0)
    clip = make_clip(tmp_path / "a.mp4")
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    reported: list[int] = []
    encode_video(
        clip,
        plan,
        1,
        tmp_path,
        progress=lambda _: None,
        stop=threading.Event(),
        reading=reported.append,
        from_beginning=True,
    )
    assert max(reported) > 0


def test_child_has_no_network_and_keeps_its_user_when_it_connects_to_a_server(tmp_path: Path) -> None:
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
        printed = bytearray()
        limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=MIB)
        end = run_child(
            [sys.executable, "-c", call], limits=limits, on_output=printed.extend, paths={"write": [tmp_path]}
        )
        assert end.returncode == 0, end.stderr
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert printed == b"no network\n"
    assert (mark.stat().st_uid, mark.stat().st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.long
def test_stop_ends_ffmpeg_within_10_s_when_it_is_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = _endless_clip(tmp_path / "a.mp4")
    pid_file = _watched_ffmpeg(tmp_path, monkeypatch)
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    pid_file.unlink(missing_ok=True)
    stop = threading.Event()
    reported_at_s: list[float] = []

    def progress(_frames: int) -> None:
        if pid_file.exists():
            reported_at_s.append(time.monotonic())
            stop.set()

    with pytest.raises(StoppedError):
        encode_video(clip, plan, 1, tmp_path, progress=progress, stop=stop)
    # From the first report on: the start of ffmpeg does not count.
    assert time.monotonic() - reported_at_s[0] < 10
    assert _ended(int(pid_file.read_text()))


def test_ffmpeg_ends_when_the_program_around_it_is_killed(tmp_path: Path) -> None:
    clip = _endless_clip(tmp_path / "a.mp4")
    output = tmp_path / "output"
    first_start = ["-m", "tasks.transcode", str(clip), str(output), "--profile", "fast"]
    with subprocess.Popen([sys.executable, *first_start], cwd=ROOT, stderr=subprocess.DEVNULL) as program:
        try:
            wait_for((output / "units" / "0000" / "480p.whole").exists, limit_s=60, what="ffmpeg's first file")
            children = _processes_reading(clip) - {program.pid}
            assert children, "ffmpeg is not running"
        finally:
            program.kill()
    wait_for(lambda: all(_ended(pid) for pid in children), limit_s=10, what="ffmpeg's end")


def _processes_reading(path: Path) -> set[int]:
    """Return the processes that have this path in their arguments."""
    found = set()
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if os.fsencode(path) in arguments.read_bytes():
                found.add(int(arguments.parent.name))
    return found


def test_silent_child_ends_when_its_parent_is_killed() -> None:
    # ffmpeg would also exit on its next write into the closed pipe; this child never writes again.
    inner = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    outer = (
        "import sys; from tasks.transcode.sandbox.limits import ChildLimits; from tasks.transcode.sandbox.process import run_child; "
        "limits = ChildLimits(memory_bytes=2**29, cpu_s=10, file_bytes=0); "
        f"run_child([sys.executable, '-c', {inner!r}], limits=limits, "
        "on_output=lambda printed: print(printed.decode(), flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", outer], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not _ended(pid)
        parent.kill()
    wait_for(lambda: _ended(pid), limit_s=10, what="the child's end")


def test_child_fails_alone_when_it_exceeds_its_limits(tmp_path: Path) -> None:
    def outcome(program: str, **changes: int) -> int:
        limits = ChildLimits(**{"memory_bytes": 512 * MIB, "cpu_s": 10, "file_bytes": MIB} | changes)
        end = run_child(
            [sys.executable, "-c", program], limits=limits, on_output=lambda _: None, paths={"write": [tmp_path]}
        )
        return end.returncode

    assert outcome("pass") == 0
    assert outcome(f"bytearray({1024 * MIB})") == 1
    assert outcome("while True: pass", cpu_s=1) == -signal.SIGXCPU
    assert outcome(f"open({str(tmp_path / 'large')!r}, 'wb').write(bytes({2 * MIB}))") != 0
    assert (tmp_path / "large").stat().st_size <= MIB


def test_plan_ignores_hours_when_a_file_only_declares_them(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=30)
    content = bytearray(clip.read_bytes())
    # Matroska's Duration element: its ID, its size (8 bytes), a double in milliseconds.
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = struct.pack(">d", 40 * 3600 * 1000.0)
    clip.write_bytes(content)
    source = probe_source(clip)
    assert source.declared_duration_s == 40 * 3600
    assert "SHORTER_THAN_DECLARED" in source.warnings
    assert make_plan(source, SMALL, threads=1).frames == 30


def test_encode_rejects_a_plan_when_it_was_made_for_another_engine(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=10)
    form = make_plan(probe_source(clip), SMALL, threads=1).to_json() | {"engine": "0/old"}
    plan = type(make_plan(probe_source(clip), SMALL, threads=1)).from_json(form)
    with pytest.raises(EncodeError, match="ENGINE_CHANGED"):
        encode_video(clip, plan, 0, tmp_path, progress=lambda _: None, stop=threading.Event())


def test_error_contains_ffmpegs_message_when_ffmpeg_fails(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=10)
    plan = make_plan(probe_source(clip), SMALL, threads=1)
    with pytest.raises(EncodeError, match="No such file or directory"):
        encode_video(clip, plan, 0, tmp_path / "absent", progress=lambda _: None, stop=threading.Event())
