"""Mutations of growing playlists: what they list, that they never shrink, and how they end."""

from __future__ import annotations

from tests.mutations.patch import Patch

_ENGINE = "tests/unit/transcode/test_growing_playlists.py"
_WEB = "tests/database/web/test_growing_video.py"

GROWING_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="rungs are listed further than the audio",
        promise=2,
        file="tasks/transcode/package/growing.py",
        old="    listed = min(_length(plan.rungs, video, plan), _length(plan.has_audio, audio, plan))\n",
        new="    listed = _length(plan.rungs, video, plan) if audio else 0\n",
        tests=(f"{_ENGINE}::test_tracks_are_listed_equally_far_when_units_are_missing",),
    ),
    Patch(
        name="units that do not fit are listed while a video is made",
        promise=2,
        file="tasks/transcode/package/growing.py",
        old="        if prefix and not (seam_fits",
        new="        if False and not (seam_fits",
        tests=(f"{_ENGINE}::test_unit_is_not_listed_when_it_does_not_fit_those_before",),
    ),
    Patch(
        name="growing playlists do not begin at the start",
        promise=2,
        file="tasks/transcode/package/hls.py",
        old="((GROWING_TYPE, _FROM_START) if",
        new="((GROWING_TYPE,) if",
        tests=(f"{_ENGINE}::test_playlists_only_gain_lines_until_they_are_published_when_units_finish_one_by_one",),
    ),
    Patch(
        name="a dynamic manifest lists the last segment",
        promise=2,
        file="tasks/transcode/package/dash.py",
        old="            if track.planned is not None and segment",
        new="            if False and track.planned is not None and segment",
        tests=(f"{_ENGINE}::test_manifest_is_dynamic_with_the_published_timing_when_units_are_missing",),
    ),
    Patch(
        name="captions end while the video grows",
        promise=2,
        file="tasks/transcode/package/playlists.py",
        old="is_growing=bool(growing_at)",
        new="is_growing=False",
        tests=(f"{_ENGINE}::test_master_offers_the_published_tracks_when_one_unit_is_done",),
    ),
    Patch(
        name="a redone unit loses its output",
        promise=2,
        file="tasks/services/container_api/publish.py",
        old='output={**(damaged.output or {}), "problem": problem},',
        new='output={"problem": problem},',
        tests=(f"{_WEB}::test_growing_playlist_does_not_shrink_when_a_unit_is_redone",),
    ),
    Patch(
        name="a redone unit is not listed",
        promise=2,
        file="tasks/selectors/growing.py",
        old="_LISTED = Q(state=UnitState.DONE) | Q(redo_count__gt=0)\n",
        new="_LISTED = Q(state=UnitState.DONE)\n",
        tests=(f"{_WEB}::test_growing_playlist_does_not_shrink_when_a_unit_is_redone",),
    ),
    Patch(
        name="a growing playlist continues with another plan",
        promise=2,
        file="tasks/views/playlists/growing.py",
        old="        if listed is None or listed.plan_fence != place.plan_fence:\n",
        new="        if listed is None:\n",
        tests=(f"{_WEB}::test_growing_playlist_ends_when_the_job_is_planned_again",),
    ),
    Patch(
        name="a growing playlist outlives its job",
        promise=2,
        file="tasks/views/playlists/growing.py",
        old="    elif job.state not in ACTIVE_JOB_STATES:\n",
        new="    elif False:\n",
        tests=(f"{_WEB}::test_growing_playlist_ends_with_a_message_when_the_job_ends_otherwise",),
    ),
    Patch(
        name="the published playlists do not take over",
        promise=2,
        file="tasks/views/playlists/growing.py",
        old="    if job.state == JobState.SUCCEEDED:\n",
        new="    if False:\n",
        tests=(f"{_WEB}::test_published_playlists_take_over_at_the_same_url_when_the_job_succeeds",),
    ),
    Patch(
        name="browsers may cache growing playlists",
        promise=2,
        file="tasks/views/playlists/growing.py",
        old='    response["Cache-Control"] = "no-store"\n',
        new='    response["Cache-Control"] = "private, max-age=60"\n',
        tests=(f"{_WEB}::test_growing_playlist_is_never_cached_when_it_is_requested_in_any_way",),
    ),
    Patch(
        name="growing playlists of other videos are served",
        promise=17,
        file="tasks/views/playlists/growing.py",
        old="filter(pk=place.job_id, video_id=video_id)",
        new="filter(pk=place.job_id)",
        tests=(f"{_WEB}::test_growing_playlist_of_another_videos_job_is_not_found_when_its_key_is_made_up",),
    ),
    Patch(
        name="all audio comes before the first video unit",
        promise=2,
        file="tasks/services/container_api/claim.py",
        old='.order_by("index", "kind")',
        new='.order_by("kind", "index")',
        tests=(f"{_WEB}::test_first_units_of_audio_and_video_are_leased_first_when_the_audio_has_two",),
    ),
    Patch(
        name="the first audio unit is encoded no further than its end",
        promise=2,
        file="tasks/transcode/encode/audio.py",
        old="self._unit.end_aac + _LOOK_AHEAD_AAC)",
        new="self._unit.end_aac)",
        tests=("tests/media/test_audio.py::test_audio_has_the_same_frames_when_it_is_encoded_in_two_units",),
    ),
)
