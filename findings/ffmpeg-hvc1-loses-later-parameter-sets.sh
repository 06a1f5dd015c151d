#!/bin/sh
# ffmpeg: joining HEVC recordings of two sizes with `-c copy -tag:v hvc1` makes a file whose second part is noise, without a message.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
# Expected: a second sample description, parameter sets between the frames, or an error: hvc1 allows the sets in descriptions only
#           (ISO/IEC 14496-15), and the muxer writes the first description alone.
# Seen:     exit code 0 and no message. The sets of the second recording are removed from the frames, and are nowhere in the file. Its
#           frames are decoded with those of the first one: all of them, in the first size, without an error. For the content here,
#           there is a warning ("Skipping invalid undecodable NALU"), for simpler content none. With the tag hev1, and in H.264 with
#           avc1, the sets stay between the frames, and both sizes come out.
# So:       no decoder notices such a file; only looking at it does. Join recordings of several sizes with hev1, or encode them again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import re
import subprocess
from collections import Counter

import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-y"]
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2])


def messages(*options: str) -> str:
    return subprocess.run([*ffmpeg, *options], check=True, capture_output=True, text=True).stderr


for number, size in enumerate(("160x90", "320x180")):
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    messages("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=10:duration=1", *codec, f"{number}.ts")
with open("list", "w") as listed:
    listed.write("file 0.ts\nfile 1.ts\n")
found = {}
for tag in ("hvc1", "hev1"):
    joined = messages("-v", "warning", "-f", "concat", "-i", "list", "-c", "copy", "-tag:v", tag, f"{tag}.mp4")
    errors = messages("-v", "error", "-i", f"{tag}.mp4", "-f", "null", "-")
    shown = messages("-i", f"{tag}.mp4", "-vf", "showinfo", "-f", "null", "-")
    found[tag] = (joined, errors, dict(Counter(re.findall(r" s:(\d+x\d+)", shown))))
    print(f"{tag}: messages when joined {joined!r}, when decoded {errors!r}, frames {found[tag][2]}")
raise SystemExit(found != {"hvc1": ("", "", {"160x90": 20}), "hev1": ("", "", {"160x90": 10, "320x180": 10})})
PYTHON
