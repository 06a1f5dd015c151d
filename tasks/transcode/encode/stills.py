"""Still images as JPEG files: poster and sprites."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..outputs import MediaFile
from ..sandbox.ffmpeg import output_argument

if TYPE_CHECKING:
    from pathlib import Path

    from ..outputs import Role

_QUALITIES: dict[Role, str] = {"poster": "3", "sprite": "5"}
"""ffmpeg's scale for JPEG: 2 is best, 31 worst."""


def still_arguments(output_dir: Path, role: Role) -> list[str]:
    """Return the arguments that write the only frame of a stream into `output_dir`."""
    return [
        *("-fps_mode", "passthrough", "-frames:v", "1", "-c:v", "mjpeg", "-threads", "1", "-q:v", _QUALITIES[role]),
        *(
            "-fflags",
            "+bitexact",
            "-flags:v",
            "+bitexact",
            "-f",
            "image2",
            "-update",
            "1",
            output_argument(_path(output_dir, role)),
        ),
    ]


def describe_still(output_dir: Path, role: Role) -> MediaFile:
    """Describe the still that ffmpeg wrote into `output_dir`."""
    path = _path(output_dir, role)
    content = path.read_bytes()
    return MediaFile(
        name=path.name,
        role=role,
        rung=None,
        content_type="image/jpeg",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _path(output_dir: Path, role: Role) -> Path:
    return output_dir / f"{role}.jpg"
