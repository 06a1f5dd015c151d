"""The two demo videos of a new `scripts/dev`: made by ffmpeg, uploaded by the teacher, transcoded while one watches."""

from __future__ import annotations

from pathlib import Path

from project.local.accounts import TEACHER, account_user
from project.local.demo.sample import Sample, make_sample

DEMO_VIDEOS = {
    "Lecture 1: a clock": Sample(
        name="lecture-1",
        video="testsrc=size=854x480:rate=25:decimals=2",
        audio="sine=frequency=330:beep_factor=4:sample_rate=48000",
        length_s=40,
    ),
    "Lecture 2: colour bars": Sample(
        name="lecture-2",
        video="smptehdbars=size=1280x720:rate=25",
        audio="sine=frequency=440:sample_rate=48000",
        length_s=30,
    ),
}
_MARKER = "demo-videos"


def ensure_demo_videos(state_dir: Path) -> int:
    """Upload the demo videos as the teacher, once for each state folder. Return how many were uploaded.

    Needs Django set up and the accounts. Raises StackError if ffmpeg cannot make them.
    """
    marker = state_dir / _MARKER
    if marker.exists():
        return 0
    from django.core.files.uploadedfile import UploadedFile  # noqa: PLC0415 - only once Django is set up

    from tasks.views.upload import store_upload  # noqa: PLC0415 - as above

    for title, sample in DEMO_VIDEOS.items():
        path = make_sample(sample, state_dir)
        with path.open("rb") as content:
            file = UploadedFile(content, name=path.name, size=path.stat().st_size)
            store_upload(title=title, file=file, owner=account_user(TEACHER))
    marker.touch()
    return len(DEMO_VIDEOS)
