"""Messages for owners of files that cannot be transcoded, by code, with places for what differs from file to file.

A code has several messages if it has several causes: their keys are `CODE.cause`. Rows keep the key and the
parameters next to the message, so that it can be shown in another language.
"""

from __future__ import annotations

from typing import Any

_CHECK_AND_EXPORT = "Please check that it plays on your computer, export it again as an MP4 file, and upload that."

REJECTIONS = {
    "EMPTY_FILE": "The file is empty. Please upload the video again.",
    "NOT_A_VIDEO": "This file is not a video that we can read: it looks like {kind}. "
    "Please upload the video itself, preferably as an MP4 file.",
    "DAMAGED.header": f"The file is incomplete or damaged: its header or index cannot be read. {_CHECK_AND_EXPORT}",
    "DAMAGED.frames": f"The file is damaged: not a single frame of the video can be decoded. {_CHECK_AND_EXPORT}",
    "DAMAGED.audio": f"The file is damaged: it contains only audio, and none of it can be decoded. {_CHECK_AND_EXPORT}",
    "UNREADABLE": "The file is damaged in a way that crashes the program reading it. "
    "Please export the video again as an MP4 file, and upload that.",
    "TOO_DEMANDING": "Reading this file takes more time or memory than a video of its size should. It is probably damaged: "
    "please export it again as an MP4 file, and upload that.",
    "NOTHING_TO_PLAY": "The file contains neither video nor audio. Please upload the video itself.",
    "UNKNOWN_CODEC.video": "The video is in a format that we cannot read{codec}. "
    "Please export it again as an MP4 file with H.264, and upload that.",
    "UNKNOWN_CODEC.audio": "There is no video, and the audio is in a format that we cannot read{codec}. "
    "Please export it again as an MP4 file with AAC audio, and upload that.",
    "ENCRYPTED": "The video is encrypted, as rented and purchased films are. "
    "Please upload a copy without copy protection.",
    "BROKEN_TIMES.early": "The video's timestamps are damaged: most frames are timed before the first one. "
    f"{_CHECK_AND_EXPORT}",
    "BROKEN_TIMES.gap": "The video's timestamps are damaged: two consecutive frames are {hours} hours apart. "
    f"{_CHECK_AND_EXPORT}",
    "BROKEN_TIMES.start": "The video's timestamps are damaged: it begins {hours} hours away from the start of the file. "
    f"{_CHECK_AND_EXPORT}",
    "TOO_LONG": "The recording is {hours} hours long; the limit is {limit_hours} hours. "
    "Please split it into parts and upload them one by one.",
    "TOO_MANY_PICTURES": "The video has more than {limit} frames. "
    "Please export it again as an MP4 file with at most 60 frames per second, and upload that.",
    "TOO_LARGE": "The video's frames of {size} pixels are too large. "
    "Please export the video again in 4K or smaller, and upload that.",
    "TOO_SMALL": "The video's frames of {size} pixels are too small to watch. "
    "Please check that it is the right file, or export it again in a larger size.",
    "TOO_MUCH_WORK": "Processing this video would take about {hours} hours of computing; the limit is {limit_hours}."
    " Please cut it into shorter parts, or export it with {way_out}.",
    "SOURCE_MISSING": "The uploaded file is no longer in the storage. Upload it again.",
}
"""Messages by key. SOURCE_MISSING is reported by the program around the engine."""

KINDS = {
    "jpeg": "a JPEG image",
    "png": "a PNG image",
    "gif": "a GIF image",
    "pdf": "a PDF document",
    "zip": "a ZIP archive or an Office document",
    "office": "an Office document",
    "mp3": "an MP3 audio file",
    "flac": "a FLAC audio file",
    "playlist": "a playlist that only refers to a video",
    "script": "a script that only refers to a video",
    "mpeg": "a raw MPEG video stream, without audio or timestamps",
    "text": "a web page or another text file",
    "rar": "a RAR archive",
    "7z": "a 7-Zip archive",
    "wav": "a WAV audio file",
    "riff": "a RIFF file of another kind than AVI",
    "": "a file of another kind, or one that was damaged during the upload",
}
"""What a file that is no video looks like: values of `kind`."""

FEWER_FRAMES = "a smaller frame size or fewer frames per second"
MORE_KEY_FRAMES = "a key frame every few seconds, since most of the time is needed to get to the places between them"
"""Values of `way_out`."""


def rejection(key: str, **parameters: float | str) -> dict[str, Any]:
    """Return code, message and details of an InputRejectedError or InputSuspectError, as its keyword arguments.

    `details` are the key and the parameters, for `REJECTIONS[key]`. Numbers get commas at the thousands.
    """
    shown = {name: value if isinstance(value, str) else f"{value:,}" for name, value in parameters.items()}
    return {
        "code": key.partition(".")[0],
        "message": REJECTIONS[key].format(**shown),
        "details": {"text": key, **parameters},
    }
