"""Warnings about sources that are transcoded anyway: stable codes, and messages for the owners."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

SOURCE_WARNINGS = {
    "READING_BROKE_OFF": "The file is damaged partway through; everything before the damage was kept. "
    "If the end is missing, please repair the recording and upload it again.",
    "SHORTER_THAN_DECLARED": "The file is shorter than it declares; everything it contains was kept. "
    "If the end is missing, the upload may have been cut off: please upload the file again.",
    "AUDIO_UNREADABLE": "The file has audio that cannot be decoded: {}. "
    "To add it, please export the video again as an MP4 file with AAC audio, and upload that.",
    "CLOCK_STARTS_OVER": "The timestamps start over partway through the file, as happens when recordings are "
    "concatenated as plain files; what follows may be missing. Please join the recordings with a video editor, "
    "or upload them one by one.",
    "AUDIO_CUT": "The timestamps of the audio are damaged: it continues more than an hour after the end of the video. "
    "That part was left out. If audio is missing, please export the video again as an MP4 file, and upload that.",
    "PART_LEFT_OUT": "A part of the file has other streams than the rest, and was left out: about {}. "
    "To keep it, please export the whole video again as an MP4 file, and upload that.",
    "CAPTIONS_CUT": "The file contains more captions than we can take, so some were left out. "
    "Please check the captions in the file.",
    "CAPTIONS_IN_FRAMES": "The video has captions inside its frames (CEA-608 or CEA-708), which are left out. "
    "To keep them, please export them as a text track, and upload the video with that.",
    "AUDIO_LEFT_OUT": "Some audio tracks of the file were left out: {}. "
    "If something is missing, please mix the tracks in a video editor, and upload the result.",
    "AUDIO_MIXED": "The file has separate microphones ({}), which were mixed for both ears. "
    "If you want another mix, please make it in a video editor, and upload the result.",
    "AUDIO_QUIET": "The audio is very quiet. It is amplified, and so is its noise. "
    "Next time, please move the microphone closer, or record at a higher level.",
    "AUDIO_CLIPPED": "The audio was recorded at too high a level, so it is distorted. "
    "If there is another recording of it, please upload the video with that.",
    "CHAPTERS_CUT": "The file contains more chapters than we can take, or titles that are too long for a list; "
    "some were left out or shortened. Please check the chapters in the file.",
    "CHAPTERS_NESTED": "The file contains chapters inside chapters, or several lists of chapters; "
    "only the outer chapters of one list were kept. To keep others, please put all of them into one plain list.",
    "CHAPTERS_MISTIMED": "Some chapters were left out, because they are outside the video "
    "or begin at the same time as another one. Please check the times of the chapters in the file.",
    "SIZE_CHANGES": "The frames change their size or shape on the way ({}), as in calls and on phones that are "
    "turned. The video has the size that most of it has, and black bars where the shape is another. "
    "If you do not want that, please record or export it in one size.",
    "CAPTIONS_NOT_TRANSCRIBED": "Automatic captions could not be made ({}). The video has everything else. "
    "To have captions, please add a caption file.",
}
"""Messages by code, in which a detail may have its place: probe and planning report only codes and details."""


def with_detail(code: str, detail: str) -> str:
    """Return a code as probe and planning report it, with a detail: `SIZE_CHANGES 320 x 180, 640 x 360`."""
    return f"{code} {detail}"


def with_spans(code: str, spans_s: Iterable[tuple[Fraction, Fraction]]) -> str:
    """Return a code as the probe reports it, with spans of time as its detail: `CODE 0:00:12 to 0:00:18`."""
    return with_detail(code, ", ".join(f"{_clock(start_s)} to {_clock(end_s)}" for start_s, end_s in spans_s))


def describe(warning: str) -> dict[str, str]:
    """Return code and message of a warning that the probe reported."""
    code, detail = split(warning)
    return {"code": code, "message": SOURCE_WARNINGS[code].format(detail)}


def split(warning: str) -> tuple[str, str]:
    """Return code and detail of a warning that the probe reported."""
    code, _, detail = warning.partition(" ")
    return code, detail


def _clock(time_s: Fraction) -> str:
    return str(timedelta(seconds=round(time_s)))
