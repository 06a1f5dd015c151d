#!/bin/sh
# mpdecimate never compares the first eight columns of a frame: what changes only there is dropped as a duplicate.
#
# Versions: ffmpeg 7.0.2 (wheel imageio-ffmpeg 0.6.0), filter mpdecimate with the thresholds hi=64, lo=32, frac=0.01.
# Expected: black turning white is a new frame wherever it happens.
# Seen:     a bar of 8 x 180 pixels that turns from black to white at the left edge is dropped as a duplicate; the same bar one column
#           further right, at the right edge, and rows at the top and bottom are seen.
# So:       pad the frame on the left before the filter, and crop it afterwards; a pointer that rests at the edge is missed otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import imageio_ffmpeg


def kept(x: int, y: int, width: int, height: int) -> int:
    """Return how many frames of two seconds are kept if a box turns white after one."""
    box = f"drawbox=x={x}:y={y}:w={width}:h={height}:c=white:t=fill:enable='gte(t,1)'"
    source = f"color=black:s=320x180:r=25:d=2,format=gray,{box},format=yuv420p"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source]
    command += ["-vf", "mpdecimate=hi=64:lo=32:frac=0.01", "-f", "framecrc", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sum(not line.startswith("#") for line in lines)


boxes = {
    "left edge": (0, 0, 8, 180),
    "one column further": (1, 0, 8, 180),
    "right edge": (312, 0, 8, 180),
    "top edge": (0, 0, 320, 8),
    "bottom edge": (0, 172, 320, 8),
}
found = {name: kept(*box) for name, box in boxes.items()}
print(found)
raise SystemExit(found != {name: 1 if name == "left edge" else 2 for name in boxes})
PYTHON
