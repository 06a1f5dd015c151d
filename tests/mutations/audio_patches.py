"""Mutations of how the audio is leveled and mixed to stereo."""

from __future__ import annotations

from tests.mutations.patch import Patch

_LOUDNESS = "tests/media/test_loudness.py"
_TARGET = f"{_LOUDNESS}::test_audio_has_the_target_loudness_when_it_was_recorded_otherwise"
_TRACKS = "tests/media/test_audio_tracks.py"
_FILTERS = "tasks/transcode/encode/audio_graph.py"

AUDIO_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="peaks are not limited",
        promise=2,
        file=_FILTERS,
        old='[f"volume={track.gain_db}dB", _LIMITER]',
        new='[f"volume={track.gain_db}dB"]',
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
        name="the audio follows the jitter of its timestamps",
        promise=2,
        file=_FILTERS,
        old='    is_jitter = f"ld(1)*lt(abs(ld(2)-ld(0))*TB,{_GAP_S})"\n',
        new='    is_jitter = "0"\n',
        tests=("tests/media/test_audio.py::test_tone_keeps_its_pitch_when_timestamps_jitter[MP2 of 24 ms, by 11 ms]",),
    ),
    Patch(
        name="audio on one side stays there",
        promise=2,
        file=_FILTERS,
        old="*([_BOTH_EARS] if track.is_one_sided else []),",
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
        long=True,
    ),
    Patch(
        name="audio whose packets have no positions of their own is measured whole",
        promise=2,
        file="tasks/transcode/audio/meter.py",
        old="        if packet.pos is not None and packet.pos > 0:\n",
        new="        self._position = 0\n        if packet.pos is not None and packet.pos > 0:\n",
        tests=(f"{_LOUDNESS}::test_excerpts_have_the_loudness_of_the_whole_when_the_audio_is_long",),
        long=True,
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
        old='f",{track.downmix}" if track.downmix else ""',
        new='""',
        tests=(f"{_LOUDNESS}::test_audio_becomes_stereo_when_ffmpeg_cannot_mix_its_layout",),
    ),
    Patch(
        name="a mix ends with the shorter microphone",
        promise=2,
        file=_FILTERS,
        old='channel_layouts=mono,apad"',
        new='channel_layouts=mono"',
        tests=(f"{_TRACKS}::test_mix_goes_on_when_one_microphone_ends_early",),
    ),
    Patch(
        name="a microphone is only in the ear of its layout",
        promise=2,
        file="tasks/transcode/audio/mix.py",
        old='"amerge=inputs=2,pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0+0.5*c1"',
        new='"amerge=inputs=2,pan=stereo|c0=0.5*c0+0*c1|c1=0*c0+0.5*c1"',
        tests=(f"{_TRACKS}::test_both_ears_get_both_microphones_when_they_are_tracks_of_their_own",),
    ),
    Patch(
        name="the level of a mix is not measured",
        promise=2,
        file="tasks/transcode/probe/audio/tracks.py",
        old="if len(track.streams) > 1 else track for track in tracks",
        new="if len(track.streams) > 2 else track for track in tracks",
        tests=(f"{_TRACKS}::test_mix_has_the_target_loudness_when_microphones_recorded_the_same_or_not",),
    ),
    Patch(
        name="all microphones of a camera are separate tracks",
        promise=2,
        file="tasks/transcode/audio/tracks.py",
        old="    elif _are_microphones(tracks, programme_s):\n",
        new="    elif False and _are_microphones(tracks, programme_s):\n",
        tests=(f"{_TRACKS}::test_first_two_microphones_with_audio_are_the_programme_when_a_camera_has_more",),
    ),
    Patch(
        name="tracks of another programme are published",
        promise=2,
        file="tasks/transcode/probe/streams.py",
        old='    if container.format.name != "mpegts":\n',
        new="    if True:\n",
        tests=(f"{_TRACKS}::test_only_tracks_of_the_programme_are_kept_when_a_transport_stream_has_several",),
    ),
    Patch(
        name="several tracks are chosen automatically although they are alike",
        promise=2,
        file="tasks/transcode/package/renditions.py",
        old="is_automatic=each in automatic.values())",
        new="is_automatic=True)",
        tests=(f"{_TRACKS}::test_each_language_is_a_rendition_when_a_source_has_several",),
    ),
)
