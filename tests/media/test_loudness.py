"""All audio is published at the same loudness, and in both channels."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import pytest

from tasks.transcode import make_plan, probe_source
from tasks.transcode.audio.meter import AudioMeter
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.media.clips import H264, ffmpeg, numbers_filter
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode

SPEECH = (
    "0.25*(random(0)*2-1)*abs(sin(2*PI*3*t))*(0.3+0.7*abs(sin(2*PI*0.31*t)))"
    "+0.2*sin(2*PI*180*t)*abs(sin(2*PI*2.1*t))*gt(mod(t\\,7)\\,2)"
)
"""Noise in syllables over a voice with pauses: -21 LUFS, peaks of -9 dBTP."""

KNOCKS = f"0.2*({SPEECH})+0.2*(random(1)*2-1)*lt(mod(t\\,5)\\,0.02)"
"""The same, quiet, with knocks on the microphone: peaks are 19 dB above the loudness."""


def _source(path: Path, audio: str, *options: str, filters: str = "anull", length_s: int = 15) -> Path:
    # A voice has little above 5 kHz; what an AAC encoder leaves out of white noise is missed by the meter.
    lavfi = f"aevalsrc={audio}:s=48000:d={length_s},lowpass=f=5000,{filters}"
    ffmpeg("-f", "lavfi", "-i", lavfi, *(options or ("-c:a", "pcm_s16le")), str(path))
    return path


def _report(path: Path, filters: str) -> str:
    """Return what ffmpeg reports about the audio after it went through the filters."""
    arguments = [ffmpeg_binary(), "-nostdin", "-i", str(path), "-af", filters, "-f", "null", "-"]
    return subprocess.run(arguments, capture_output=True, check=True, timeout=120).stderr.decode()


def _measured(path: Path) -> dict[str, float]:
    """Return the loudness of the whole, and the true peak by another implementation than the engine's.

    loudnorm's own value of the loudness counts the end twice: findings/ffmpeg-loudnorm-counts-the-end-twice.sh.
    """
    found = json.loads(re.findall(r"\{[^{}]*\}", _report(path, "loudnorm=print_format=json"))[-1])
    loudness_lufs = re.findall(r"I: +(-?[\d.]+) LUFS", _report(path, "aformat=channel_layouts=stereo,ebur128"))[-1]
    return {"loudness_lufs": float(loudness_lufs), "true_peak_db": float(found["input_tp"])}


def _channel_lufs(path: Path, channel: int) -> float:
    return float(re.findall(r"I: +(-?[\d.]+) LUFS", _report(path, f"pan=mono|c0=c{channel},ebur128"))[-1])


def _rms_db(path: Path, start_s: int, end_s: int) -> float:
    filters = f"atrim=start={start_s}:end={end_s},astats=measure_perchannel=none"
    return float(re.findall(r"RMS level dB: (-[\d.]+)", _report(path, filters))[-1])


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("audio", "filters"),
    [
        pytest.param(SPEECH, "aformat=channel_layouts=mono", id="mono", marks=pytest.mark.long),
        pytest.param(SPEECH, "volume=-16dB,aformat=channel_layouts=stereo", id="quiet"),
        pytest.param(SPEECH, "volume=18dB,aformat=channel_layouts=stereo", id="clipped", marks=pytest.mark.long),
        pytest.param(KNOCKS, "aformat=channel_layouts=mono", id="with knocks"),
        pytest.param(f"{SPEECH}|0", "aformat=channel_layouts=stereo", id="left only"),
        pytest.param(f"0|{SPEECH}", "aformat=channel_layouts=stereo", id="right only", marks=pytest.mark.long),
        pytest.param("|".join([SPEECH] * 6), "volume=10dB,aformat=channel_layouts=5.1", id="loud surround"),
    ],
)
def test_audio_has_the_target_loudness_when_it_was_recorded_otherwise(
    audio: str, filters: str, tmp_path: Path, transcode: Transcode
) -> None:
    done = transcode(_source(tmp_path / "a.mkv", audio, filters=filters))
    published = done.joined("audio")
    found = _measured(published)
    assert found["loudness_lufs"] == pytest.approx(-16, abs=0.5)
    assert found["true_peak_db"] < -1
    assert _channel_lufs(published, 0) == pytest.approx(_channel_lufs(published, 1), abs=0.2)


def test_audio_is_left_as_it_is_when_the_profile_has_no_loudness(tmp_path: Path, transcode: Transcode) -> None:
    source = _source(tmp_path / "a.mkv", SPEECH, filters="volume=-10dB,aformat=channel_layouts=stereo")
    done = transcode(source, profile=replace(SMALL, loudness_lufs=None))
    before, after = _measured(source), _measured(done.joined("audio"))
    assert after["loudness_lufs"] == pytest.approx(before["loudness_lufs"], abs=0.3)


def test_gain_is_constant_when_quiet_and_loud_parts_follow_each_other(tmp_path: Path, transcode: Transcode) -> None:
    loud_then_quiet = f"({SPEECH})*(0.1+0.4*lt(t\\,7))"
    source = _source(tmp_path / "a.mkv", loud_then_quiet, filters="aformat=channel_layouts=stereo", length_s=14)
    published = transcode(source).joined("audio")
    gains_db = [_rms_db(published, start, start + 7) - _rms_db(source, start, start + 7) for start in (0, 7)]
    assert gains_db[0] == pytest.approx(gains_db[1], abs=0.3)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("filters", "options", "expected"),
    [
        ("volume=-30dB", ("-c:a", "pcm_s16le"), {"AUDIO_QUIET"}),
        ("volume=18dB", ("-c:a", "pcm_s16le"), {"AUDIO_CLIPPED"}),
        ("volume=18dB,aformat=sample_fmts=s16", ("-c:a", "aac", "-b:a", "128k"), {"AUDIO_CLIPPED"}),
        ("volume=6dB", ("-c:a", "aac", "-b:a", "128k"), set()),
        ("volume=0", ("-c:a", "pcm_s16le"), set()),
    ],
    ids=["quiet", "clipped", "clipped, then compressed", "loud", "silent"],
)
def test_owner_is_warned_when_the_level_was_wrong(
    filters: str, options: tuple[str, ...], expected: set[str], tmp_path: Path
) -> None:
    source = probe_source(_source(tmp_path / "a.mkv", SPEECH, *options, filters=filters))
    assert set(source.warnings) == expected


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("layout", "weights"),
    [("ambisonic 1", (1.0, 0.7, 0, 0)), ("9 channels", (1, 0, 0, 0, 0, 0, 0, 0, 0)), ("FL+FC", (0.7, 0.3))],
)
def test_audio_becomes_stereo_when_ffmpeg_cannot_mix_its_layout(
    layout: str, weights: tuple[float, ...], tmp_path: Path, transcode: Transcode
) -> None:
    pan = "|".join(f"c{channel}={weight}*c0" for channel, weight in enumerate(weights))
    video = ("-f", "lavfi", "-i", f"{numbers_filter('30')},trim=end_frame=90")
    tone = f"aevalsrc={SPEECH}:s=48000:d=3,lowpass=f=5000,pan={layout}|{pan}"
    encoder = ("-c:a", "libopus", "-mapping_family", "2") if "ambisonic" in layout else ("-c:a", "pcm_s16le")
    source = tmp_path / ("a.mkv" if "ambisonic" in layout else "a.mov")
    ffmpeg(*video, "-f", "lavfi", "-i", tone, *H264, *encoder, str(source))
    done = transcode(source)
    assert _measured(done.joined("audio"))["loudness_lufs"] == pytest.approx(-16, abs=0.7)
    if layout == "ambisonic 1":
        # What is on the left is louder there.
        assert _channel_lufs(done.joined("audio"), 0) > _channel_lufs(done.joined("audio"), 1) + 6


@pytest.mark.long
@pytest.mark.parametrize(("name", "codec"), [("a.mkv", ("pcm_s16le",)), ("a.ts", ("mp2", "-b:a", "32k"))])
def test_excerpts_have_the_loudness_of_the_whole_when_the_audio_is_long(
    name: str, codec: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / name
    # Noise whose level changes over minutes, with pauses.
    level = "(0.02+0.2*abs(sin(t/400)))*gt(mod(t\\,97)\\,11)"
    noise = f"anoisesrc=color=pink:amplitude=1:sample_rate=16000:duration=2400:seed=3,volume='{level}':eval=frame"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:a", *codec, str(path))
    decoded_s = 0.0
    with av.open(path) as container:
        meter = AudioMeter(container.streams.audio[0], path.stat().st_size)
        for packet in container.demux(container.streams.audio[0]):
            if meter.wants(packet):
                frames: list[Any] = packet.decode()
                decoded_s += sum(frame.samples / frame.sample_rate for frame in frames)
                meter.take(frames)
    found = meter.level()
    assert found is not None
    assert 250 < decoded_s < 350
    assert found.loudness_lufs == pytest.approx(_measured(path)["loudness_lufs"], abs=0.5)


def test_plan_has_the_gain_when_it_was_rebuilt_from_json(tmp_path: Path) -> None:
    source = probe_source(_source(tmp_path / "a.mkv", SPEECH))
    plan = make_plan(source, SMALL, threads=1)
    assert plan.audio is not None
    assert plan.audio.tracks[0].gain_db == pytest.approx(5.0, abs=0.2)
    assert type(source).from_json(json.loads(json.dumps(source.to_json()))) == source
    assert type(plan).from_json(json.loads(json.dumps(plan.to_json()))) == plan
