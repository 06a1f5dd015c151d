"""Text streams of a source become captions of the output, from every container that carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.transcode import probe_source
from tasks.transcode.captions import CaptionTrack, webvtt
from tasks.transcode.sandbox.limits import MAX_CAPTION_BYTES, MAX_CUE_BYTES, MAX_CUES
from tests.media.clips import ffmpeg, make_clip
from tests.media.playlist_parser import hls_attributes, read_webvtt

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode

_TIMED = "1\n00:00:00,500 --> 00:00:01,500\n<i>Tom</i> & Jerry\nrun\n\n2\n00:00:02,000 --> 00:00:09,250\n안녕하세요\n"


def _captioned(folder: Path, name: str, codec: str, *, text: str = _TIMED, start_s: float = 0) -> Path:
    """Write a clip of three seconds with two caption tracks, all of it delayed by `start_s`."""
    (folder / "captions.srt").write_text(text)
    plain = make_clip(folder / "plain.mp4", frames=90, audio_s=3.0)
    captions = ("-itsoffset", str(start_s), "-i", str(folder / "captions.srt"))
    ffmpeg(
        *("-itsoffset", str(start_s), "-i", str(plain), *captions, *captions, "-map", "0", "-map", "1", "-map", "2"),
        *(
            "-c:v",
            "libvpx" if name.endswith("webm") else "copy",
            "-c:a",
            "libopus" if name.endswith("webm") else "copy",
        ),
        *("-c:s", codec, "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=kor", str(folder / name)),
    )
    return folder / name


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "srt"), ("a.mkv", "ass"), ("a.mp4", "mov_text"), ("a.webm", "webvtt")]
)
def test_captions_keep_text_and_times_when_containers_differ(
    tmp_path: Path, transcode: Transcode, name: str, codec: str
) -> None:
    done = transcode(_captioned(tmp_path, name, codec))
    lines = (done.run.folder / "master.m3u8").read_text().splitlines()
    offers = [hls_attributes(line) for line in lines if "TYPE=SUBTITLES" in line]
    assert [(offer["NAME"], offer["LANGUAGE"]) for offer in offers] == [("English", "en"), ("한국어", "ko")]
    for number in range(2):
        first, second = read_webvtt(done.run.folder / f"captions-{number}.vtt")
        assert (float(first.start_s), float(first.end_s)) == (0.5, 1.5)
        assert first.lines == ("Tom &amp; Jerry", "run")
        # The video ends before the cue does.
        assert (float(second.start_s), float(second.end_s)) == (2.0, 3.0)
        assert second.lines == ("안녕하세요",)


def test_captions_are_in_sync_when_the_source_starts_late(tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(_captioned(tmp_path, "late.mkv", "srt", start_s=7.2))
    first = read_webvtt(done.run.folder / "captions-0.vtt")[0]
    assert float(first.start_s) == pytest.approx(0.5, abs=0.002)


def test_caption_is_dropped_with_a_warning_when_it_is_too_long(tmp_path: Path) -> None:
    text = f"{_TIMED}\n3\n00:00:02,500 --> 00:00:02,900\n{'a' * (MAX_CUE_BYTES + 1)}\n"
    source = probe_source(_captioned(tmp_path, "long.mkv", "srt", text=text))
    assert "CAPTIONS_CUT" in source.warnings
    assert [len(track.cues) for track in source.captions] == [2, 2]


@pytest.mark.long
def test_cues_are_cut_with_a_warning_when_a_track_has_too_many(tmp_path: Path) -> None:
    text = "\n".join(f"{number}\n00:00:01,000 --> 00:00:02,000\n{number}\n" for number in range(MAX_CUES + 10))
    source = probe_source(_captioned(tmp_path, "many.mkv", "srt", text=text))
    assert "CAPTIONS_CUT" in source.warnings
    assert [len(track.cues) for track in source.captions] == [MAX_CUES, MAX_CUES]


def test_cues_are_cut_with_a_warning_when_their_files_would_be_too_large(tmp_path: Path) -> None:
    long = "&" * (MAX_CUE_BYTES - 100)  # five bytes each in WebVTT
    text = "\n".join(f"{number}\n00:00:01,000 --> 00:00:02,000\n{number}{long}\n" for number in range(20))
    source = probe_source(_captioned(tmp_path, "large.mkv", "srt", text=text))
    assert "CAPTIONS_CUT" in source.warnings
    files = [webvtt(CaptionTrack("", "", track.cues)) for track in source.captions]
    assert MAX_CAPTION_BYTES * 0.9 < sum(map(len, files)) < MAX_CAPTION_BYTES + 200


def test_braces_and_markup_are_text_when_captions_are_webvtt(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.500\n<v Ann>set {1, 2} &lt;b&gt; &amp; c\\d\n{x}\n")
    clip = make_clip(tmp_path / "plain.mp4", frames=60)
    source = tmp_path / "a.mkv"
    ffmpeg("-i", str(clip), "-i", str(tmp_path / "a.vtt"), "-map", "0", "-map", "1", "-c", "copy", str(source))
    ((cue,),) = (track.cues for track in probe_source(source).captions)
    assert cue.text == "set {1, 2} <b> & c\\d\n{x}"


def test_drawings_and_comments_are_left_out_when_captions_are_ass(tmp_path: Path) -> None:
    texts = (
        r"{\i1}Plain{\i0} {a translator's note}words",
        r"{\an7\pos(0,0)\p1}m 0 0 l 100 0 100 40 0 40{\p0}",
        r"{\p2}m 0 0 l 1 1{\p0}after{\pos(1,2)} it",
    )
    events = "".join(
        f"Dialogue: 0,0:00:0{at}.00,0:00:0{at + 1}.00,Default,,0,0,0,,{text}\n" for at, text in enumerate(texts)
    )
    names = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
    (tmp_path / "a.ass").write_text(f"[Script Info]\nScriptType: v4.00+\n\n[Events]\n{names}\n{events}")
    clip = make_clip(tmp_path / "plain.mp4", frames=120)
    source = tmp_path / "a.mkv"
    ffmpeg("-i", str(clip), "-i", str(tmp_path / "a.ass"), "-map", "0", "-map", "1", "-c", "copy", str(source))
    (track,) = probe_source(source).captions
    assert [cue.text for cue in track.cues] == ["Plain words", "after it"]


def _with_captions_in_frames(folder: Path, *, first: int = 0) -> Path:
    """Write a clip whose frames from number `first` on have CEA-608 data (ATSC A/53 part 4, in an SEI of H.264)."""
    pairs = b"\xfc\x94\x20\xfc\x94\x2c"
    message = b"\xb5\x00\x31GA94\x03" + bytes([0x40 | len(pairs) // 3]) + b"\xff" + pairs + b"\xff"
    sei = b"\0\0\0\1\x06\x04" + bytes([len(message)]) + message + b"\x80"
    plain = ffmpeg("-i", str(make_clip(folder / "plain.mp4", frames=60)), "-c", "copy", "-f", "h264", "pipe:1")
    units = plain.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    slices = [number for number, unit in enumerate(units) if unit[0] & 0x1F in {1, 5}]
    captioned = b"".join(
        (sei if number in slices[first:] else b"") + b"\0\0\0\1" + unit for number, unit in enumerate(units)
    )
    (folder / "a.h264").write_bytes(captioned)
    ffmpeg("-r", "30", "-i", str(folder / "a.h264"), "-c", "copy", str(folder / "a.mp4"))
    return folder / "a.mp4"


def test_captions_in_frames_are_left_out_with_a_warning_when_there_are_any(
    tmp_path: Path, transcode: Transcode
) -> None:
    source = _with_captions_in_frames(tmp_path)
    done = transcode(source)
    assert {warning["code"] for warning in done.publication.manifest["warnings"]} == {"CAPTIONS_IN_FRAMES"}
    assert b"GA94" in source.read_bytes()
    assert b"GA94" not in done.joined(done.rungs[0]).read_bytes()
    assert "CLOSED-CAPTIONS=NONE" in (done.run.folder / "master.m3u8").read_text()


def test_warning_is_given_when_captions_in_frames_begin_later(tmp_path: Path) -> None:
    assert probe_source(_with_captions_in_frames(tmp_path, first=40)).warnings == ("CAPTIONS_IN_FRAMES",)


def test_forced_and_sdh_tracks_are_offered_as_such_when_a_file_marks_them(tmp_path: Path, transcode: Transcode) -> None:
    (tmp_path / "a.srt").write_text(_TIMED)
    clip, text = make_clip(tmp_path / "plain.mp4", frames=90), ("-i", str(tmp_path / "a.srt"))
    maps = ("-map", "0", "-map", "1", "-map", "2", "-map", "3")
    marks = ("-disposition:s:0", "forced", "-disposition:s:1", "hearing_impaired", "-disposition:s:2", "0")
    languages = [argument for at in range(3) for argument in (f"-metadata:s:s:{at}", "language=pt-BR")]
    source = tmp_path / "a.mkv"
    ffmpeg("-i", str(clip), *text, *text, *text, *maps, "-c", "copy", *marks, *languages, str(source))
    done = transcode(source)
    lines = (done.run.folder / "master.m3u8").read_text().splitlines()
    offers = [hls_attributes(line) for line in lines if "TYPE=SUBTITLES" in line]
    assert [(offer["NAME"], offer["LANGUAGE"], offer["FORCED"], "CHARACTERISTICS" in offer) for offer in offers] == [
        ("Português (Brasil) (forced)", "pt-BR", "YES", False),
        ("Português (Brasil) (SDH)", "pt-BR", "NO", True),
        ("Português (Brasil)", "pt-BR", "NO", False),
    ]
    roles = (done.run.folder / "manifest.mpd").read_text()
    assert all(f'value="{role}"' in roles for role in ("forced-subtitle", "caption", "subtitle"))
    assert [track["purpose"] for track in done.publication.manifest["captions"]] == ["forced", "sdh", ""]
