#!/bin/sh
# ffmpeg's -force_key_frames makes a burst of key frames after a gap between frames.
#
# Versions: ffmpeg 7.0.2 (wheel imageio-ffmpeg 0.6.0), libx264, -fps_mode vfr.
# Expected: with expr:gte(t,n_forced*2), the usual way to ask for a key frame every two seconds, the first frame after a gap is one
#           key frame, and the next follows two seconds later.
# Seen:     every key frame that was due during the gap is made up for, on consecutive frames: after a gap of 8 s, five in a row. Each
#           one costs as much as a whole image, and segments that are cut at key frames get one frame each. A list of times
#           (0,2,4,...) does the same.
# So:       with sparse frames (slides, screen recordings, dropped copies), choose key frames by yourself, or encode at a constant
#           rate.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import re
import subprocess

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
# Frames from 0 to 2 s and from 10 to 14 s: nothing moved in between.
source = "testsrc=size=320x180:rate=25:duration=14,select='lt(t,2)+gte(t,10)'"
encoder = ("-c:v", "libx264", "-bf", "0", "-g", "999", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-fps_mode", "vfr")


def key_frames(times):
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", source, *encoder, "-force_key_frames", times, "out.mp4"]
    subprocess.run(command, check=True)
    shown = subprocess.run(
        [FFMPEG, "-skip_frame", "nokey", "-i", "out.mp4", "-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-"],
        check=True, capture_output=True, text=True,
    ).stderr
    return [round(float(each), 2) for each in re.findall(r"pts_time:\s*([\d.]+)", shown)]


by_rule = key_frames("expr:gte(t,n_forced*2)")
by_list = key_frames("0,2,4,6,8,10,12")
print("key frames by expr:gte(t,n_forced*2):", by_rule)
print("key frames by a list of times:", by_list)
burst = [10.0, 10.04, 10.08, 10.12]
raise SystemExit(not (by_rule[1:5] == burst and by_list[1:5] == burst))
PYTHON
