"""`python -m tasks.transcode` on a laptop: tells what it does, goes on where it was, and says clearly why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.transcode.cli.folder_lock import LOCK_NAME, folder_lock
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.media.clips import make_clip

ROOT = Path(__file__).resolve().parents[2]


def _command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tasks.transcode", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_makes_a_whole_output_when_given_a_video(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=40, audio_s=1.3)
    told = _command(clip, tmp_path / "output", "--profile", "fast")
    assert told.returncode == 0, told.stderr
    assert str(tmp_path / "output" / "master.m3u8") in told.stderr
    assert "90p" in told.stderr
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    named = [entry["url"] for entry in manifest["objects"]] + [entry["name"] for entry in manifest["playlists"]]
    assert all((tmp_path / "output" / name).exists() for name in named)


def test_command_keeps_finished_units_when_run_again_after_a_kill(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=30, audio_s=1.0)
    output = tmp_path / "output"
    assert _command(clip, output, "--profile", "fast").returncode == 0
    sound, picture = output / "units" / "audio" / "output.json", output / "units" / "0000" / "output.json"
    before, manifest = sound.stat().st_mtime_ns, (output / "manifest.json").read_bytes()
    # What a kill in the midst of the video's unit leaves behind: no record, and a file that is cut short.
    picture.unlink()
    (output / "units" / "0000" / "90p.mp4").write_bytes(b"\0\0\0\x1cftyp")
    told = _command(clip, output, "--profile", "fast")
    assert told.returncode == 0
    assert "1 of them done before" in told.stderr
    assert sound.stat().st_mtime_ns == before
    assert (output / "manifest.json").read_bytes() == manifest


def test_command_starts_over_when_the_source_or_profile_is_another(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=30)
    output = tmp_path / "output"
    assert _command(clip, output, "--profile", "fast").returncode == 0
    make_clip(clip, pictures=30, size="96x64")
    told = _command(clip, output, "--profile", "fast")
    assert (told.returncode, "done before" in told.stderr) == (0, False)
    assert "96x64" in told.stderr


def test_command_says_why_and_exits_3_when_the_file_cannot_be_transcoded(tmp_path: Path) -> None:
    bad = tmp_path / "slides.pdf"
    bad.write_bytes(b"%PDF-1.7")
    told = _command(bad, tmp_path / "output")
    assert told.returncode == 3
    assert "PDF document" in told.stderr
    assert "Traceback" not in told.stderr


def test_nothing_of_anybody_elses_is_deleted_when_a_folder_has_files_with_our_names(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", pictures=2), tmp_path / "terraform"
    (output / "units").mkdir(parents=True)
    for name, content in {
        "plan.json": '{"terraform": 1}',
        "units/thesis.txt": "x",
        "notes.txt": "x",
        "manifest.json": '{"playlists": [{"name": "notes.txt"}]}',
    }.items():
        (output / name).write_text(content)
    told = _command(clip, output)
    assert (told.returncode, "FOLDER_NOT_OURS" in told.stderr) == (1, True)
    assert all((output / name).exists() for name in ("plan.json", "units/thesis.txt", "notes.txt", "manifest.json"))


def test_output_is_kept_when_a_part_of_it_is_given_as_the_source(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", pictures=30), tmp_path / "output"
    assert _command(clip, output, "--profile", "fast").returncode == 0
    before = sorted(path for path in output.rglob("*") if path.is_file())
    told = _command(output / "units" / "0000" / "90p.mp4", output, "--profile", "fast")
    assert (told.returncode, "SOURCE_IN_OUTPUT" in told.stderr) == (1, True)
    assert sorted(path for path in output.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize("name", ["units/0000/output.json", "plan.json", "manifest.json"])
def test_run_goes_on_when_a_power_cut_has_emptied_a_record(name: str, tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", pictures=30), tmp_path / "output"
    assert _command(clip, output, "--profile", "fast").returncode == 0
    (output / name).write_bytes(b"")
    if name == "manifest.json":
        # Another plan, so that the old publication has to go.
        make_clip(clip, pictures=30, size="96x64")
    told = _command(clip, output, "--profile", "fast")
    assert told.returncode == 0, told.stderr
    assert json.loads((output / "manifest.json").read_text())["rungs"]


@pytest.mark.parametrize("binary", ["/bin/true", "/bin/false", "no-such-program"])
def test_command_names_the_setting_when_ffmpeg_is_none(
    binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=2)
    monkeypatch.setenv("FFMPEG_BINARY", binary)
    told = _command(clip, tmp_path / "output")
    assert (told.returncode, "Traceback" in told.stderr) == (1, False)
    assert "is not ffmpeg: look at FFMPEG_BINARY" in told.stderr


def test_ffmpeg_is_found_on_path_when_the_setting_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ours").symlink_to(ffmpeg_binary())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("FFMPEG_BINARY", "ours")
    assert _command(make_clip(tmp_path / "a.mp4", pictures=2), tmp_path / "output").returncode == 0


def test_cause_is_told_when_ffmpeg_complains_at_length(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "a.mp4", pictures=30), tmp_path / "output"
    output.mkdir()
    # Where a unit's file would be written there is a folder.
    (output / "units" / "0000" / "90p.whole").mkdir(parents=True)
    told = _command(clip, output, "--profile", "fast")
    assert told.returncode == 1
    assert "Is a directory" in told.stderr


def test_command_explains_itself_when_asked_for_help() -> None:
    told = _command("--help")
    assert told.returncode == 0
    assert all(word in told.stdout for word in ("SOURCE", "OUTPUT_DIR", "--profile", "standard", "Exit codes"))


def test_command_tells_speed_and_time_left_when_a_run_takes_several_units(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=700, rate="10", size="96x54")
    told = _command(clip, tmp_path / "output", "--profile", "fast")
    assert told.returncode == 0, told.stderr
    lines = [line for line in told.stderr.splitlines() if "speed=" in line]
    assert lines[-1].startswith("100%  time=0:01:10 of 0:01:10")
    assert all("x" in line.split("speed=")[1] for line in lines)


def test_command_leaves_a_folder_alone_when_another_run_is_at_work_there(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=30)
    with folder_lock(tmp_path / "output"):
        told = _command(clip, tmp_path / "output")
    assert told.returncode == 1
    assert "Another run is at work" in told.stderr
    assert [path.name for path in (tmp_path / "output").iterdir()] == [LOCK_NAME]


def test_command_says_which_argument_is_wrong_when_one_is(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=2)
    absent = _command(tmp_path / "absent.mp4", tmp_path / "output")
    assert (absent.returncode, "absent.mp4 is not a file" in absent.stderr) == (2, True)
    none_at_once = _command(clip, tmp_path / "output", "--at-once", "0")
    assert (none_at_once.returncode, "0 is not a whole number above 0" in none_at_once.stderr) == (2, True)
    on_a_file = _command(clip, clip)
    assert (on_a_file.returncode, "Traceback" in on_a_file.stderr) == (1, False)
    assert str(clip) in on_a_file.stderr
