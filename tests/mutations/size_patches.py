"""Mutations of sizes and shapes that change on the way: what the ladder follows, bars, pixels, rotation, cropping."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SIZES = "tests/media/test_sizes.py"
_FIT = "tasks/transcode/encode/fit.py"

SIZE_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="the ladder follows the first frame",
        promise=2,
        file="tasks/transcode/probe/sizes/choice.py",
        old="    shape = _main_shape(changes, end_pts)\n",
        new="    shape = changes[0].shape\n",
        tests=(f"{_SIZES}::test_ladder_follows_most_of_the_video_when_its_size_changes",),
    ),
    Patch(
        name="frames of another shape are stretched",
        promise=2,
        file=_FIT,
        old="    if fit.has_bars:\n",
        new="    if fit.has_bars and not fit.aspects:\n",
        tests=(f"{_SIZES}::test_frames_get_bars_when_their_shape_changes[vp8 webm]",),
    ),
    Patch(
        name="changes of the pixels' shape are missed",
        promise=2,
        file=_FIT,
        old="    if len(aspects) == 1:\n",
        new="    if aspects:\n",
        tests=(f"{_SIZES}::test_frames_get_bars_when_only_their_pixels_change",),
    ),
    Patch(
        name="the source's rotation is written into the outputs",
        promise=2,
        file="tasks/transcode/encode/filters.py",
        old="*fit, *deinterlace, *turn, on_grid]\n",
        new="*fit, *deinterlace, *turn, on_grid]\n    steps.remove(_WITHOUT_MATRIX)\n",
        tests=(f"{_SIZES}::test_frames_stay_upright_when_a_turned_track_changes_its_size",),
    ),
    Patch(
        name="files with several parameter sets are offered as they are",
        promise=2,
        file="tasks/transcode/plan/direct_play.py",
        old="        and source.parameter_sets <= 1\n",
        new="",
        tests=(f"{_SIZES}::test_direct_play_is_not_offered_when_parameter_sets_change_but_not_the_size",),
    ),
    Patch(
        name="a second sample description is not read",
        promise=2,
        file="tasks/transcode/probe/sizes/looks.py",
        old='        if self._codec in CONFIGURED and packet.has_sidedata("new_extradata"):\n',
        new="        if False:\n",
        tests=(
            "tests/media/test_kinds.py::test_frames_have_their_size_when_a_track_has_two_descriptions[hvc1, enlarged.mov]",
        ),
    ),
    Patch(
        name="what the container crops is shown",
        promise=2,
        file=_FIT,
        old="    if fit.crop_px != UNCROPPED:\n",
        new="    if fit.crop_px != UNCROPPED and fit.aspects:\n",
        tests=(f"{_SIZES}::test_frames_are_cropped_when_the_container_declares_it",),
    ),
)
