"""`python -m tasks.transcode` on a laptop: tells what it does, goes on where it was, and says clearly why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tasks.transcode.folder_lock import LOCK_NAME, folder_kept
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
    clip = make_clip(tmp_path / "a.mp4", pictures=40, sound_s=1.3)
    told = _command(clip, tmp_path / "output", "--profile", "fast")
    assert told.returncode == 0, told.stderr
    assert str(tmp_path / "output" / "master.m3u8") in told.stderr
    assert "90p" in told.stderr
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    named = [entry["url"] for entry in manifest["objects"]] + [entry["name"] for entry in manifest["playlists"]]
    assert all((tmp_path / "output" / name).exists() for name in named)


def test_command_keeps_finished_units_when_run_again_after_a_kill(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pictures=30, sound_s=1.0)
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
    with folder_kept(tmp_path / "output"):
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
