"""`python -m tasks.transcode` on a laptop: it shows its progress, resumes its work, and reports errors clearly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.transcode.cli.folder_lock import LOCK_NAME, folder_lock
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.media.clips import make_clip

ROOT = Path(__file__).resolve().parents[2]


def run_command(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tasks.transcode", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_writes_a_complete_output_when_given_a_video(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=40, audio_s=1.3)
    run = run_command(clip, tmp_path / "output", "--profile", "fast")
    assert run.returncode == 0, run.stderr
    assert str(tmp_path / "output" / "master.m3u8") in run.stderr
    assert "90p" in run.stderr
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    named = [entry["url"] for entry in manifest["objects"]] + [entry["name"] for entry in manifest["playlists"]]
    assert all((tmp_path / "output" / name).exists() for name in named)


def test_command_writes_an_output_when_its_folder_is_relative_and_has_a_colon(tmp_path: Path) -> None:
    make_clip(tmp_path / "a: 1 %d.mp4", frames=40, audio_s=1.3)
    run = run_command("a: 1 %d.mp4", "output: %d", "--profile", "fast", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "output: %d" / "master.m3u8").exists()


def test_command_keeps_finished_units_when_run_again_after_a_kill(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30, audio_s=1.0)
    output = tmp_path / "output"
    assert run_command(clip, output, "--profile", "fast").returncode == 0
    audio, video = output / "units" / "audio" / "output.json", output / "units" / "0000" / "output.json"
    before, manifest = audio.stat().st_mtime_ns, (output / "manifest.json").read_bytes()
    # What a kill in the middle of the video unit leaves behind: no record, and a truncated file.
    video.unlink()
    (output / "units" / "0000" / "90p.mp4").write_bytes(b"\0\0\0\x1cftyp")
    run = run_command(clip, output, "--profile", "fast")
    assert run.returncode == 0
    assert "1 of them already finished" in run.stderr
    assert audio.stat().st_mtime_ns == before
    assert (output / "manifest.json").read_bytes() == manifest


def test_command_redoes_a_unit_when_its_record_does_not_fit_the_plan(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30, audio_s=1.0)
    output = tmp_path / "output"
    assert run_command(clip, output, "--profile", "fast").returncode == 0
    record = output / "units" / "0000" / "output.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "files": content["files"][1:]}))
    first = run_command(clip, output, "--profile", "fast")
    assert (first.returncode, "[FILES]" in first.stderr) == (1, True), first.stderr
    assert run_command(clip, output, "--profile", "fast").returncode == 0, "the unit was redone"


def test_command_starts_over_when_the_source_changes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30)
    output = tmp_path / "output"
    assert run_command(clip, output, "--profile", "fast").returncode == 0
    make_clip(clip, frames=30, size="96x64")
    run = run_command(clip, output, "--profile", "fast")
    assert (run.returncode, "already finished" in run.stderr) == (0, False)
    assert "96x64" in run.stderr


def test_command_explains_and_exits_3_when_the_file_is_rejected(tmp_path: Path) -> None:
    bad = tmp_path / "slides.pdf"
    bad.write_bytes(b"%PDF-1.7")
    run = run_command(bad, tmp_path / "output")
    assert run.returncode == 3
    assert "PDF document" in run.stderr
    assert "Traceback" not in run.stderr


def test_foreign_files_are_kept_when_a_folder_has_files_with_our_names(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", frames=2), tmp_path / "terraform"
    (output / "units").mkdir(parents=True)
    for name, content in {
        "plan.json": '{"terraform": 1}',
        "units/thesis.txt": "x",
        "notes.txt": "x",
        "manifest.json": '{"playlists": [{"name": "notes.txt"}]}',
    }.items():
        (output / name).write_text(content)
    run = run_command(clip, output)
    assert (run.returncode, "FOLDER_NOT_OURS" in run.stderr) == (1, True)
    assert all((output / name).exists() for name in ("plan.json", "units/thesis.txt", "notes.txt", "manifest.json"))


def test_output_is_kept_when_one_of_its_files_is_the_source(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", frames=30), tmp_path / "output"
    assert run_command(clip, output, "--profile", "fast").returncode == 0
    before = sorted(path for path in output.rglob("*") if path.is_file())
    run = run_command(output / "units" / "0000" / "90p.mp4", output, "--profile", "fast")
    assert (run.returncode, "SOURCE_IN_OUTPUT" in run.stderr) == (1, True)
    assert sorted(path for path in output.rglob("*") if path.is_file()) == before


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["units/0000/output.json", "plan.json", "manifest.json"])
def test_run_is_resumed_when_a_power_cut_emptied_a_record(name: str, tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", frames=30), tmp_path / "output"
    assert run_command(clip, output, "--profile", "fast").returncode == 0
    (output / name).write_bytes(b"")
    if name == "manifest.json":
        # Another plan, so that the old publication has to be deleted.
        make_clip(clip, frames=30, size="96x64")
    run = run_command(clip, output, "--profile", "fast")
    assert run.returncode == 0, run.stderr
    assert json.loads((output / "manifest.json").read_text())["rungs"]


@pytest.mark.parametrize("binary", ["/bin/true", "/bin/false", "no-such-program"])
def test_command_names_the_setting_when_the_binary_is_not_ffmpeg(
    binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    monkeypatch.setenv("FFMPEG_BINARY", binary)
    run = run_command(clip, tmp_path / "output")
    assert (run.returncode, "Traceback" in run.stderr) == (1, False)
    assert "is not ffmpeg: check FFMPEG_BINARY" in run.stderr


def test_ffmpeg_is_found_on_path_when_the_setting_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ours").symlink_to(ffmpeg_binary())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("FFMPEG_BINARY", "ours")
    assert run_command(make_clip(tmp_path / "a.mp4", frames=2), tmp_path / "output").returncode == 0


def test_error_shows_the_cause_when_ffmpeg_prints_many_lines(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", frames=30), tmp_path / "output"
    output.mkdir()
    # There is a folder at the path of a unit's file.
    (output / "units" / "0000" / "90p.whole").mkdir(parents=True)
    run = run_command(clip, output, "--profile", "fast")
    assert run.returncode == 1
    assert "Is a directory" in run.stderr


def test_command_prints_its_usage_when_asked_for_help() -> None:
    run = run_command("--help")
    assert run.returncode == 0
    assert all(word in run.stdout for word in ("SOURCE", "OUTPUT_DIR", "--profile", "standard", "Exit codes"))


def test_command_shows_speed_and_time_when_a_run_has_several_units(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=700, rate="10", size="96x54")
    run = run_command(clip, tmp_path / "output", "--profile", "fast")
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stderr.splitlines() if "speed=" in line]
    assert lines[-1].startswith("100%  time=0:01:10 of 0:01:10")
    assert all("x" in line.split("speed=")[1] for line in lines)


def test_command_leaves_a_folder_unchanged_when_another_run_uses_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30)
    with folder_lock(tmp_path / "output"):
        run = run_command(clip, tmp_path / "output")
    assert run.returncode == 1
    assert "Another run is using" in run.stderr
    assert [path.name for path in (tmp_path / "output").iterdir()] == [LOCK_NAME]


def test_command_names_the_argument_when_it_is_invalid(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    absent = run_command(tmp_path / "absent.mp4", tmp_path / "output")
    assert (absent.returncode, "absent.mp4 is not a file" in absent.stderr) == (2, True)
    none_in_parallel = run_command(clip, tmp_path / "output", "--parallel", "0")
    assert (none_in_parallel.returncode, "0 is not a whole number greater than 0" in none_in_parallel.stderr) == (
        2,
        True,
    )
    on_a_file = run_command(clip, clip)
    assert (on_a_file.returncode, "Traceback" in on_a_file.stderr) == (1, False)
    assert str(clip) in on_a_file.stderr
