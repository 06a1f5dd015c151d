"""An edition has the captions and chapters that people added, and refers to the same media."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from tasks.transcode import TranscodeError
from tasks.transcode.chapters import ChapterMark
from tasks.transcode.package.edition import AddedCaptions, Edits, make_edition
from tests.unit.transcode.test_manifest_schema import SCHEMA
from tests.unit.transcode.test_publication import build_example

if TYPE_CHECKING:
    from tasks.transcode import Publication

KOREAN = AddedCaptions("a1", "ko", "한국어", "", 1, "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n안녕\n")
SDH = AddedCaptions("a2", "en", "English", "sdh", 1, "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n[music]\n")


def edition(edits: Edits, **changed: Any) -> tuple[Publication, dict[str, bytes]]:
    """Return an edition of the example, and its files by name."""
    whole = build_example()
    base = {file.name: file.content for file in whole.files}
    manifest = json.loads(json.dumps(whole.manifest)) | changed
    made = make_edition(manifest, lambda name: base[name], edits)
    return made, {file.name: file.content for file in made.files}


def test_edition_has_the_bytes_of_the_publication_when_nothing_was_changed() -> None:
    _, files = edition(Edits(number=0))
    assert files == {file.name: file.content for file in build_example().files}


def test_edition_offers_added_captions_in_both_formats_when_some_were_added() -> None:
    made, files = edition(Edits(number=3, captions=(KOREAN, SDH)))
    own = len(build_example().manifest["captions"])
    master, mpd = files["master.m3u8"].decode(), files["manifest.mpd"].decode()
    assert f'NAME="한국어",LANGUAGE="ko",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="captions-{own}.m3u8"' in master
    assert re.search(r'LANGUAGE="en",CHARACTERISTICS="public\.accessibility\.[^"]+"', master)
    assert f"<BaseURL>captions-{own}.vtt</BaseURL>" in mpd
    assert files[f"captions-{own}.vtt"].decode() == KOREAN.webvtt
    assert f"\ncaptions-{own}.vtt\n" in files[f"captions-{own}.m3u8"].decode()
    assert [each["added"] for each in made.manifest["captions"]] == [None] * own + ["a1", "a2"]
    assert made.manifest["edition"] == 3
    Draft202012Validator(SCHEMA).validate(json.loads(files["manifest.json"]))


def test_edition_has_the_same_media_when_captions_were_added() -> None:
    made, files = edition(Edits(number=1, captions=(KOREAN,)))
    whole = build_example()
    assert made.manifest["objects"] == json.loads(json.dumps(whole.manifest["objects"]))
    media = [file for file in whole.files if file.name.endswith(".m3u8") and file.name != "master.m3u8"]
    assert media
    assert all(files[file.name] == file.content for file in media)


def test_own_captions_are_left_out_when_they_are_replaced_or_hidden() -> None:
    about = build_example().manifest["captions"][0]
    replacing = KOREAN._replace(language=about["language"], purpose=about["purpose"], name=about["name"])
    made, _ = edition(Edits(number=1, captions=(replacing,)))
    assert [(each["name"], each["added"]) for each in made.manifest["captions"]][-1] == (about["name"], "a1")
    assert about["name"] not in [each["name"] for each in made.manifest["captions"] if each["added"] is None]
    made, files = edition(Edits(number=1, keeps_own_captions=False))
    assert made.manifest["captions"] == []
    assert b"SUBTITLES" not in files["master.m3u8"]
    assert b'contentType="text"' not in files["manifest.mpd"]


def test_names_of_tracks_differ_when_two_have_the_same() -> None:
    made, _ = edition(Edits(number=1, captions=(SDH, KOREAN._replace(name="English")), keeps_own_captions=False))
    assert [each["name"] for each in made.manifest["captions"]] == ["English", "English 2"]


def test_edition_has_the_chapters_that_were_entered_when_the_source_has_others() -> None:
    marks = (ChapterMark(0, None, "Intro"), ChapterMark(5000, None, "<b> & more"), ChapterMark(999_000, None, "Late"))
    made, files = edition(Edits(number=1, chapters=marks))
    assert made.manifest["chapters"] == [
        {"start_s": 0.0, "end_s": 5.0, "title": "Intro"},
        {"start_s": 5.0, "end_s": made.manifest["duration_s"], "title": "<b> & more"},
    ]
    assert b"&lt;b&gt; &amp; more" in files["chapters.vtt"]


def test_edition_has_no_chapters_when_all_were_removed() -> None:
    made, files = edition(Edits(number=1, chapters=()))
    assert (made.manifest["chapters"], made.manifest["chapters_url"]) == ([], None)
    assert "chapters.vtt" not in files


def test_edition_is_refused_when_the_manifest_is_of_another_version() -> None:
    with pytest.raises(TranscodeError, match="version 7"):
        edition(Edits(number=1), version=7)


def test_edition_is_refused_when_a_text_was_altered() -> None:
    whole = build_example()
    with pytest.raises(TranscodeError, match="not as its manifest lists it"):
        make_edition(whole.manifest, lambda _: b"altered", Edits(number=1))
