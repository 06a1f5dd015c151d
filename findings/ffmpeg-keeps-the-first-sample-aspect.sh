#!/bin/sh
# ffmpeg gives all frames the sample aspect ratio that the file had first, although the codec changes it midway.
#
# Versions: ffmpeg 7.0.2 (wheel imageio-ffmpeg 0.6.0), decoder mpeg2video, demuxer mpeg.
# Expected: a television recording of 720x576 that turns from 4:3 to 16:9 has frames with 16:15 and then with 64:45, and filters such as
#           scale=iw*sar:ih follow, as they do when the size changes.
# Seen:     all frames have 16:15, so the second part is squeezed; no message. The second part alone has 64:45.
# So:       read the ratio from the parameter sets, and give it to the filters with the times from which it holds.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess
from pathlib import Path

import imageio_ffmpeg


def ffmpeg(*arguments: str) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def widths(name: str) -> list[int]:
    """Return the widths of the frames as displayed, from the size in bytes of each."""
    lines = ffmpeg("-i", name, "-vf", "scale=iw*sar:ih:eval=frame,format=gray", "-f", "framecrc", "-").splitlines()
    return sorted({int(line.split(",")[4]) // 576 for line in lines if not line.startswith("#")})


for name, aspect, start_s in (("a.mpg", "4:3", "0"), ("b.mpg", "16:9", "2")):
    source = ("-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=2")
    ffmpeg(*source, "-c:v", "mpeg2video", "-aspect", aspect, "-output_ts_offset", start_s, "-f", "vob", name)
Path("both.mpg").write_bytes(Path("a.mpg").read_bytes() + Path("b.mpg").read_bytes())
found = {name: widths(name) for name in ("a.mpg", "b.mpg", "both.mpg")}
print(found)
raise SystemExit(found != {"a.mpg": [768], "b.mpg": [1024], "both.mpg": [768]})
PYTHON
