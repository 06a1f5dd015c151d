"""The command that tries many files prints the result of each, and returns 1 only for failures that no file caused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.media import corpus
from tests.media.clips import make_clip

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
    monkeypatch.setattr(corpus, "check_output", broken)
    assert corpus.main([str(clip)]) == 1
    assert "FAILED: AssertionError: a rule" in capsys.readouterr().out
