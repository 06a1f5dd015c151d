"""Mutations of how the audio is leveled and mixed to stereo."""

from __future__ import annotations

from tests.mutations.patch import Patch

_LOUDNESS = "tests/media/test_loudness.py"
_TARGET = f"{_LOUDNESS}::test_audio_has_the_target_loudness_when_it_was_recorded_otherwise"
_FILTERS = "tasks/transcode/encode/filters.py"

AUDIO_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="peaks are not limited",
        promise=2,
        file=_FILTERS,
        old='[f"volume={audio.gain_db}dB", _LIMITER]',
        new='[f"volume={audio.gain_db}dB"]',
        tests=(_TARGET,),
    ),
    Patch(
        name="the limiter brings back the level that it took",
        promise=2,
        file=_FILTERS,
        old=":level=disabled:latency=enabled",
        new=":level=enabled:latency=enabled",
        tests=(_TARGET,),
    ),
    Patch(
        name="the limiter delays the audio",
        promise=2,
        file=_FILTERS,
        old=":level=disabled:latency=enabled",
        new=":level=disabled:attack=80",
        tests=("tests/media/test_audio.py::test_audio_is_in_sync_within_10_ms_when_it_starts_at_any_time",),
    ),
    Patch(
        name="audio on one side stays there",
        promise=2,
        file=_FILTERS,
        old="*([_BOTH_EARS] if audio.is_one_sided else []),",
        new="",
        tests=(_TARGET,),
    ),
    Patch(
        name="what a channel alone gains in both ears is not counted",
        promise=2,
        file="tasks/transcode/audio/level.py",
        old="(_ONE_CHANNEL_LU if level.is_one_sided else 0.0)",
        new="0.0",
        tests=(_TARGET,),
    ),
    Patch(
        name="only the beginning of long audio is measured",
        promise=2,
        file="tasks/transcode/audio/meter.py",
        old="        self._end_s = at_s + _EXCERPT_S\n",
        new="        self._end_s = at_s\n",
        tests=(f"{_LOUDNESS}::test_excerpts_have_the_loudness_of_the_whole_when_the_audio_is_long",),
    ),
    Patch(
        name="audio whose packets have no positions of their own is measured whole",
        promise=2,
        file="tasks/transcode/audio/meter.py",
        old="        if packet.pos is not None and packet.pos > 0:\n",
        new="        self._position = 0\n        if packet.pos is not None and packet.pos > 0:\n",
        tests=(f"{_LOUDNESS}::test_excerpts_have_the_loudness_of_the_whole_when_the_audio_is_long",),
    ),
    Patch(
        name="samples beyond full scale do not count as clipped",
        promise=2,
        file="tasks/transcode/audio/meter.py",
        old='    "aformat=sample_fmts=s16",\n',
        new='    "aformat=sample_fmts=flt",\n',
        tests=(f"{_LOUDNESS}::test_owner_is_warned_when_the_level_was_wrong",),
    ),
    Patch(
        name="layouts that ffmpeg cannot mix fail in encoding",
        promise=2,
        file=_FILTERS,
        old="*([audio.downmix] if audio.downmix else []),",
        new="",
        tests=(f"{_LOUDNESS}::test_audio_becomes_stereo_when_ffmpeg_cannot_mix_its_layout",),
    ),
)
