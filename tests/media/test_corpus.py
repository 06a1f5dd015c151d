"""The command that tries many files prints the result of each, and returns 1 only for failures that no file caused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.media import corpus, runs
from tests.media.clips import make_clip
from tests.media.kinds import KINDS
from tests.media.kinds.claps import clap
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_table_shows_each_result_when_a_folder_has_good_and_bad_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "good.mp4", frames=30)
    (tmp_path / "bad.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    (tmp_path / "notes.txt").write_text("ignored")
    assert corpus.main([str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "good.mp4 | ladder: 1.00 s, 160x90 at 30 |" in table
    assert "bad.mkv | DAMAGED: The file is incomplete" in table
    assert table.endswith("2 files: DAMAGED 1, ladder 1\n")


def test_corpus_command_returns_1_when_the_engine_fails_on_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        message = "a rule"
        raise AssertionError(message)

    clip = make_clip(tmp_path / "good.mp4", frames=10)
    monkeypatch.setattr(runs, "check_output", broken)
    assert corpus.main([str(clip)]) == 1
    assert "FAILED: AssertionError: a rule" in capsys.readouterr().out


def test_corpus_command_returns_1_when_an_output_is_not_as_expected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Upload("right.mp4", clap)
    expected = Expected(5, size=(180, 320), rate=25, beeps_s=(1, 2), square=(80, 90), warnings=("AUDIO_QUIET",))
    wrong = Upload("wrong.mp4", clap, expected)
    monkeypatch.setitem(KINDS, "names", (right, wrong))
    assert corpus.main(["--kinds", "names"]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].startswith("| names: right.mp4 | ladder: 4.00 s, 320x180 at 30, audio |")
    assert rows[3].startswith("| names: wrong.mp4 | WRONG: 4.00 s, 320x180 at 30, audio. ")
    for fault in (
        "size: (320, 180), not (180, 320)",
        "warnings: (), not ('AUDIO_QUIET',)",
        "rate: 30.0, not 25",
        "length at 4.00 s, not 5.00 s",
        "tones at 1.00, 2.00, 3.00 s, not 1.00, 2.00 s",
        "square at 1 s: (90, 90), not (80, 90)",
    ):
        assert fault in rows[3]
    assert rows[-1] == "2 files: ladder 1, WRONG 1"
