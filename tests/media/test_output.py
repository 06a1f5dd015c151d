"""A publication plays: it decodes completely, its rungs are aligned, and its playlists match the media."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

import pytest

from tasks.transcode import (
    Plan,
    StoppedError,
    UnitOutput,
    make_plan,
    probe_source,
    verify_playlists,
    verify_publication,
)
from tasks.transcode.mp4.fragments import read_fragments
from tasks.transcode.mp4.init_segment import read_init
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.media.clips import ffmpeg, make_clip
from tests.media.playlist_parser import hls_attributes, read_media_playlist, read_webvtt
from tests.media.runs import SMALL, Transcode, Transcoded


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Return a clip at 29.97 fps with audio, three units, three rungs. Tests must not change it."""
    folder = tmp_path_factory.mktemp("done")
    clip = make_clip(folder / "a.mp4", frames=160, rate="30000/1001", audio_s=160 * 1.001 / 30)
    return Transcode(folder)(clip)


def _lines(done: Transcoded, name: str) -> list[str]:
    return (done.run.folder / name).read_text().splitlines()


def _durations_s(done: Transcoded, name: str) -> list[float]:
    return [float(line[8:].rstrip(",")) for line in _lines(done, name) if line.startswith("#EXTINF:")]


def test_every_rung_decodes_completely_when_any_error_is_fatal(done: Transcoded) -> None:
    for track in (*done.rungs, "audio"):
        ffmpeg("-xerror", "-err_detect", "explode", "-i", str(done.joined(track)), "-f", "null", "-")


def test_key_frames_have_the_same_times_when_rungs_are_compared(done: Transcoded) -> None:
    starts = {rung: [fragment.decode_ticks for fragment in read_fragments(done.joined(rung))[1]] for rung in done.rungs}
    expected = list(range(0, 160 * 1001, done.plan.gop_frames * 1001))
    assert starts == dict.fromkeys(done.rungs, expected)
    for rung in done.rungs:
        # And according to the probe, which reads the coded frames.
        shown = probe_source(done.joined(rung))
        assert [key.pts for key in shown.keys] == expected


def test_fragment_numbers_are_consecutive_when_units_are_joined(done: Transcoded) -> None:
    for track in (*done.rungs, "audio"):
        numbers = [fragment.sequence for fragment in read_fragments(done.joined(track))[1]]
        assert numbers == list(range(1, len(numbers) + 1))


def test_durations_add_up_to_the_source_when_the_rate_is_29_97(done: Transcoded) -> None:
    source_s = float(probe_source(done.run.source).video_s)
    for name in ("90p.m3u8", "80p.m3u8", "60p.m3u8", "audio.m3u8"):
        assert sum(_durations_s(done, name)) == pytest.approx(source_s, abs=1001 / 30000)


def test_segment_boundaries_match_when_rungs_and_audio_are_compared(done: Transcoded) -> None:
    video = [_durations_s(done, f"{rung}.m3u8") for rung in done.rungs]
    audio = _durations_s(done, "audio.m3u8")
    assert video[0] == video[1] == video[2]
    assert len(audio) == len(video[0])
    for count in range(1, len(audio)):
        # Audio can only be cut between AAC frames, so the cuts are half a frame off at most.
        assert sum(audio[:count]) == pytest.approx(sum(video[0][:count]), abs=0.5 * 1024 / 48000 + 1e-5)


def test_playlist_covers_every_byte_once_when_read_back(done: Transcoded) -> None:
    for track in (*done.rungs, "audio"):
        playlist = read_media_playlist(done.run.folder / f"{track}.m3u8")
        content = b"".join(piece.read(done.run.folder) for piece in (playlist.init, *playlist.pieces))
        assert content == done.joined(track).read_bytes()


def test_master_playlist_offers_rungs_largest_first_when_there_are_several(done: Transcoded) -> None:
    lines = _lines(done, "master.m3u8")
    audio = next(hls_attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:"))
    assert (audio["TYPE"], audio["URI"], audio["CHANNELS"]) == ("AUDIO", "audio.m3u8", "2")
    offers = [hls_attributes(line) for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
    *with_video, audio_alone = offers
    assert [(offer["RESOLUTION"], offer["FRAME-RATE"]) for offer in with_video] == [
        (f"{rung.width_px}x{rung.height_px}", "29.970") for rung in done.plan.rungs
    ]
    assert (audio_alone["CODECS"], audio_alone["AUDIO"], "RESOLUTION" in audio_alone) == ("mp4a.40.2", "audio", False)


def test_i_frame_playlist_shows_every_key_frame_when_ranges_are_decoded(done: Transcoded) -> None:
    lines = _lines(done, "master.m3u8")
    offers = [hls_attributes(line) for line in lines if line.startswith("#EXT-X-I-FRAME-STREAM-INF")]
    for rung, offer in zip(done.plan.rungs, offers, strict=True):
        assert offer["URI"] == f"{rung.name}-iframes.m3u8"
        playlist = read_media_playlist(done.run.folder / offer["URI"])
        init, *key_frames = [piece.read(done.run.folder) for piece in (playlist.init, *playlist.pieces)]
        assert (offer["CODECS"], offer["RESOLUTION"]) == (read_init(init).codec, f"{rung.width_px}x{rung.height_px}")
        peak_bps = max(8 * len(each) / shown_s for each, shown_s in zip(key_frames, playlist.durations_s, strict=True))
        assert int(offer["BANDWIDTH"]) == pytest.approx(peak_bps, rel=0.1)
        shown = []
        for key_frame in key_frames:
            # The moof also lists the frames after the key frame, whose bytes are not in the range:
            # a player shows the first.
            alone = done.run.folder / "alone.mp4"
            alone.write_bytes(init + key_frame)
            frame = ("-frames:v", "1", "-vf", "scale=10:1:flags=area,format=gray", "-f", "rawvideo", "-")
            raw = subprocess.run(
                [ffmpeg_binary(), "-nostdin", "-v", "fatal", "-i", alone, *frame],
                capture_output=True,
                check=True,
                timeout=20,
            ).stdout
            shown.append(sum((level > 127) << bit for bit, level in enumerate(raw)))
        assert shown == list(range(0, done.plan.frames, done.plan.gop_frames))


def test_level_is_no_higher_than_needed_when_frames_are_small(done: Transcoded) -> None:
    # 160x90 at 29.97: 60 macroblocks, 1,798 per second. ITU-T H.264 table A-1: level 1.1 for the
    # bit rate, or 1.2 or 1.3.
    codecs = {rung["codec"] for rung in done.publication.manifest["rungs"]}
    assert all(codec.startswith("avc1.64") and int(codec[-2:], 16) <= 13 for codec in codecs)


def test_poster_is_a_frame_of_the_video_when_published(done: Transcoded) -> None:
    poster = done.run.folder / done.publication.manifest["poster"]
    assert poster.read_bytes().startswith(b"\xff\xd8\xff")
    raw = ffmpeg("-i", str(poster), "-vf", "scale=10:1:flags=area,format=gray", "-f", "rawvideo", "-")
    assert sum((level > 127) << bit for bit, level in enumerate(raw)) == done.plan.poster_frame


def test_thumbnail_shows_the_frame_at_its_time_when_its_tile_is_cropped(done: Transcoded) -> None:
    cues = read_webvtt(done.run.folder / "thumbnails.vtt")
    every = done.plan.thumbnails.interval_frames
    assert len(cues) == -(-done.plan.frames // every)
    for number, cue in enumerate(cues):
        assert float(cue.start_s) == pytest.approx(number * every * 1001 / 30000, abs=6e-4)
        url, _, area = cue.lines[0].partition("#xywh=")
        x, y, width, height = area.split(",")
        tile = f"crop={width}:{height}:{x}:{y},scale=10:1:flags=area,format=gray"
        raw = ffmpeg("-i", str(done.run.folder / url), "-vf", tile, "-f", "rawvideo", "-")
        assert sum((level > 127) << bit for bit, level in enumerate(raw)) == number * every


def test_output_has_the_same_bytes_when_units_are_encoded_twice(done: Transcoded, transcode: Transcode) -> None:
    again = transcode(done.run.source)
    first, second = (
        {entry["url"]: entry["sha256"] for entry in made.publication.manifest["objects"]} for made in (done, again)
    )
    assert first == second


def test_plan_and_outputs_survive_json_when_written_and_read(done: Transcoded) -> None:
    plan = make_plan(probe_source(done.run.source), SMALL, threads=1)
    assert plan == done.plan == Plan.from_json(json.loads(json.dumps(plan.to_json())))
    for unit in done.run.units():
        output = done.run.finished(unit)
        assert output is not None
        assert UnitOutput.from_json(json.loads(json.dumps(output.to_json()))) == output


def _verified(done: Transcoded, changed: dict[str, bytes | None]) -> list[tuple[Any, str]]:
    def read(url: str) -> Any:
        content = changed[url] if url in changed else (done.run.folder / url).read_bytes()
        if content is None:
            raise FileNotFoundError(url)
        return iter([content[:1000], content[1000:]])

    return [tuple(bad) for bad in verify_publication(done.publication.manifest, read, connections=3)]


def _entries(done: Transcoded) -> list[dict[str, Any]]:
    entries = done.publication.manifest["objects"]
    assert {entry["role"] for entry in entries} == {"video", "audio", "poster", "sprite"}
    return list(entries)


def test_verification_finds_nothing_when_all_objects_are_good(done: Transcoded) -> None:
    seen: list[int] = []
    bad = verify_publication(
        done.publication.manifest, lambda url: iter([(done.run.folder / url).read_bytes()]), progress=seen.append
    )
    assert bad == ()
    assert seen == list(range(1, len(_entries(done)) + 1))


def test_verification_reads_several_objects_at_a_time_when_it_may(done: Transcoded) -> None:
    both = threading.Barrier(2, timeout=60)
    urls = [entry["url"] for entry in _entries(done)][:2]

    def read(url: str) -> Any:
        if url in urls:
            both.wait()
        return iter([(done.run.folder / url).read_bytes()])

    assert verify_publication(done.publication.manifest, read, connections=2) == ()


def test_verification_ends_when_reading_fails(done: Transcoded) -> None:
    def read(url: str) -> Any:
        raise StoppedError

    with pytest.raises(StoppedError):
        verify_publication(done.publication.manifest, read, connections=2)


def test_verification_names_the_unit_when_an_object_is_damaged(done: Transcoded) -> None:
    for entry in _entries(done):
        whole = (done.run.folder / entry["url"]).read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        for content, word in ((None, "missing"), (whole[:-1], "bytes instead"), (flipped, "checksum")):
            ((unit, reason),) = _verified(done, {entry["url"]: content})
            assert unit == entry["unit"]
            # A flipped bit may break a box before the checksum is known.
            assert word in reason or word == "checksum"
            assert entry["url"] in reason


def test_verification_names_the_unit_when_the_manifest_has_a_gap(done: Transcoded) -> None:
    manifest = json.loads(json.dumps(done.publication.manifest))
    lost = next(entry for entry in manifest["objects"] if entry["unit"] == 1 and entry["rung"] == "80p")
    manifest["objects"].remove(lost)
    bad = verify_publication(manifest, lambda url: iter([(done.run.folder / url).read_bytes()]))
    assert [unit for unit, _ in bad] == [2]


def test_verification_names_every_unit_when_key_frames_are_off_the_grid(done: Transcoded) -> None:
    manifest = done.publication.manifest | {"gop_ticks": done.publication.manifest["gop_ticks"] + 1001}
    bad = verify_publication(manifest, lambda url: iter([(done.run.folder / url).read_bytes()]))
    assert {unit for unit, _ in bad} == {unit.index for unit in done.plan.video_units}
    assert all("key frames" in reason for _, reason in bad)


def test_verification_names_the_unit_when_its_segment_list_is_wrong(done: Transcoded) -> None:
    for change in ({0: 1}, {1: -1}, {3: 1001}):
        manifest = json.loads(json.dumps(done.publication.manifest))
        row = manifest["objects"][0]["segments"][0]
        for column, difference in change.items():
            row[column] += difference
        bad = verify_publication(manifest, lambda url: iter([(done.run.folder / url).read_bytes()]))
        assert [unit for unit, _ in bad] == [0]


def test_verification_names_the_unit_when_its_key_frame_list_is_wrong(done: Transcoded) -> None:
    for column in range(4):
        manifest = json.loads(json.dumps(done.publication.manifest))
        manifest["objects"][0]["key_frames"][0][column] += 1
        ((unit, reason),) = verify_publication(manifest, lambda url: iter([(done.run.folder / url).read_bytes()]))
        assert unit == 0
        assert "key frames" in reason


def test_verification_names_the_playlist_when_it_is_altered_or_missing(done: Transcoded) -> None:
    def read(name: str, *, altered: str) -> Any:
        content = (done.run.folder / name).read_bytes()
        return iter([content.replace(b"VERSION:7", b"VERSION:6") if name == altered else content])

    manifest = done.publication.manifest
    assert verify_playlists(manifest, lambda name: read(name, altered="")) == ()
    bad = verify_playlists(manifest, lambda name: read(name, altered="80p.m3u8"))
    assert [name for name, _ in bad] == ["80p.m3u8"]

    def absent(name: str) -> Any:
        raise FileNotFoundError(name)

    missing = verify_playlists(manifest, absent)
    assert len(missing) == len(manifest["playlists"])
