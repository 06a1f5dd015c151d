"""`python -m tasks.transcode` on a laptop: tells what it does, goes on where it was, and says clearly why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
