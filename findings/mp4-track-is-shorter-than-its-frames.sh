#!/bin/sh
# ffmpeg writes an MP4 track that ends before its last frame if frames are sparse and the encoder uses B-frames.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1), libx264 with its default of 3 B-frames, -fps_mode vfr.
# Expected: the track's duration (mdhd) covers the presentation time of every frame: with frames up to 9 s and more, it is more than 9.
# Seen:     the duration is the sum of the samples' durations, which follow decoding times. With B-frames and a frame only now and
#           then, decoding times run seconds ahead, and so the track is seconds too short. A player that trusts the duration ends
#           before the last frame. Without B-frames the duration is right, as it is with ffmpeg 7.0.2.
# So:       encode sparse frames with -bf 0, or compute durations from presentation times when packaging.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import re
import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
# A second of motion, then a frame about every two seconds.
source = "testsrc2=size=320x180:rate=25:duration=10,select='lt(t,1)+not(mod(n\\,49))'"


def track_and_last_frame_s(*encoder):
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, *encoder, "-fps_mode", "vfr", "out.mp4"], check=True)
    content = Path("out.mp4").read_bytes()
    at = content.index(b"mdhd")
    timescale, duration = struct.unpack(">II", content[at + 16 : at + 24])
    shown = subprocess.run(
        [FFMPEG, "-i", "out.mp4", "-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-"],
        check=True, capture_output=True, text=True,
    ).stderr
    return duration / timescale, max(float(each) for each in re.findall(r"pts_time:\s*([\d.]+)", shown))


track_s, last_s = track_and_last_frame_s()
plain_track_s, plain_last_s = track_and_last_frame_s("-bf", "0")
print(f"with B-frames: the track lasts {track_s:.2f} s, the last frame is due at {last_s:.2f} s")
print(f"with -bf 0:    the track lasts {plain_track_s:.2f} s, the last frame is due at {plain_last_s:.2f} s")
raise SystemExit(not (track_s < last_s - 0.5 and plain_track_s > plain_last_s))
PYTHON
