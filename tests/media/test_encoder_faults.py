"""How ffmpeg ended shows whose fault it may be: the disk's, a crash, or neither."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.container.failures import failure_of
from tasks.lifecycle.reasons import Reason
from tasks.transcode import EncodeError, EncoderCrashedError
from tasks.transcode.sandbox.ffmpeg import engine_id, run_ffmpeg
from tasks.transcode.sandbox.limits import encode_limits

if TYPE_CHECKING:
    from collections.abc import Sequence


_SOURCE_BYTES = 32 * 1024 * 1024


def _replace_ffmpeg(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = folder / "ffmpeg"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("FFMPEG_BINARY", str(binary))


def _failure(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch, reads: Sequence[Path] = ()) -> EncodeError:
    """Return the error of a run in which a shell script replaces ffmpeg."""
    _replace_ffmpeg(script, folder, monkeypatch)
    with pytest.raises(EncodeError) as caught:
        run_ffmpeg(
            [],
            limits=encode_limits(media_s=1, source_px=0, output_bps=1000),
            on_line=lambda _: None,
            on_wait=lambda _: None,
            stop=threading.Event(),
            reads=reads,
        )
    return caught.value


@pytest.mark.parametrize("signal", ["SEGV", "BUS", "ILL", "ABRT"])
def test_encoder_is_only_suspected_when_a_machine_may_have_crashed_it(
    signal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _failure(f"kill -{signal} $$", tmp_path, monkeypatch)
    assert isinstance(error, EncoderCrashedError)
    assert error.code == "ENCODER_CRASHED"


def test_encoder_is_only_suspected_when_it_crashes_before_it_prints_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace_ffmpeg("kill -BUS $$", tmp_path, monkeypatch)
    with pytest.raises(EncoderCrashedError):
        engine_id()


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_encoder_has_not_crashed_when_it_was_killed(
    signal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _failure(f"kill -{signal} $$", tmp_path, monkeypatch)
    assert not isinstance(error, EncoderCrashedError)
    assert error.code == "ENCODER_KILLED"


@pytest.mark.parametrize("exit_code", [0, 1])
def test_disk_is_at_fault_when_the_source_cannot_be_read(
    exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reading a process's memory at address 0 fails with EIO, as reading a bad block does.
    unreadable = Path("/proc/self/mem")
    script = f"echo 'Error during demuxing: Input/output error' >&2; exit {exit_code}"
    error = _failure(script, tmp_path, monkeypatch, reads=[unreadable])
    assert failure_of(error, was_out_of_memory=False)[1] is Reason.DISK_FAILED


def test_damaged_source_is_read_again_once_when_its_units_report_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(_SOURCE_BYTES))
    script = "echo 'Error during demuxing: Input/output error' >&2; exit 1"
    for least_bytes, most_bytes in ((_SOURCE_BYTES, 2 * _SOURCE_BYTES), (0, _SOURCE_BYTES)):
        before = _bytes_read()
        error = _failure(script, tmp_path, monkeypatch, reads=[source])
        assert failure_of(error, was_out_of_memory=False)[1] is Reason.TRANSCODE_FAILED
        assert least_bytes <= _bytes_read() - before < most_bytes


def test_encoder_runs_again_when_a_disk_failed_to_give_a_block_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, ran = tmp_path / "source", tmp_path / "ran"
    source.write_bytes(b"a lecture")
    first = f"echo half; echo 'Error during demuxing: Input/output error' >&2; echo >'{ran}'"
    _replace_ffmpeg(f"if [ -e '{ran}' ]; then echo whole; else {first}; fi", tmp_path, monkeypatch)
    lines: list[str] = []
    run_ffmpeg(
        [],
        limits=encode_limits(media_s=1, source_px=0, output_bps=1000),
        on_line=lines.append,
        on_wait=lambda _: None,
        on_restart=lines.clear,
        stop=threading.Event(),
        reads=[source],
        writes_below=tmp_path,
    )
    assert lines == ["whole"]


def _bytes_read() -> int:
    """Return what this process has read so far: rchar of proc_pid_io(5)."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("av_interleaved_write_frame(): No space left on device", Reason.DISK_FULL),
        ("av_interleaved_write_frame(): Read-only file system", Reason.DISK_FAILED),
        ("Error opening output file: Structure needs cleaning", Reason.DISK_FAILED),
        ("Error during demuxing: Input/output error", Reason.TRANSCODE_FAILED),
    ],
)
def test_machine_is_at_fault_when_the_encoder_cannot_write(
    output: str, reason: Reason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _failure(f"echo '{output}' >&2; exit 1", tmp_path, monkeypatch)
    assert failure_of(error, was_out_of_memory=False)[1] is reason
