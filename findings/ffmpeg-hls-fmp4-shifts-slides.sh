#!/bin/sh
# ffmpeg's HLS muxer shows a slide early when segments are fMP4 and frames last longer than the nominal frame time.
#
# Versions: ffmpeg 7.0.2 (wheel imageio-ffmpeg 0.6.0), -f hls -hls_segment_type fmp4.
# Expected: a segment's media time begins where its first frame's timestamp is. With MPEG-TS segments it does.
# Seen:     the last sample of a segment gets a shorter duration than the time until the next frame, and the next segment's tfdt
#           follows right behind it: a slide that is due at 10 s is shown up to two seconds early. EXTINF has the right times.
# So:       video with sparse frames (screen recordings, slides, deduplicated frames) must be cut from one fragmented MP4, or with
#           durations written by the packager.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import re
import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg

# A frame every two seconds: of 25 frames per second, 49 of 50 were dropped as copies.
source = "testsrc=size=320x180:rate=25:duration=30,select=not(mod(n\\,50))"
encoder = ("-c:v", "libx264", "-bf", "0", "-g", "1", "-pix_fmt", "yuv420p", "-fps_mode", "vfr")
hls = ("-f", "hls", "-hls_time", "10", "-hls_list_size", "0", "-hls_segment_type", "fmp4", "list.m3u8")
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source, *encoder, *hls]
subprocess.run(command, check=True)

extinf = [float(each) for each in re.findall(r"#EXTINF:([\d.]+)", Path("list.m3u8").read_text())]


def tfdt_ticks(path):
    content = path.read_bytes()
    at = content.index(b"tfdt")
    version = content[at + 4]
    return struct.unpack(">Q" if version else ">I", content[at + 8 : at + (16 if version else 12)])[0]


def timescale(path):
    content = path.read_bytes()
    at = content.index(b"mdhd")
    return struct.unpack(">I", content[at + 16 : at + 20])[0]


starts = [tfdt_ticks(path) / timescale(Path("init.mp4")) for path in sorted(Path().glob("list*.m4s"))]
print("EXTINF:", extinf)
print("media time at which each segment starts:", [round(each, 2) for each in starts])
due = [sum(extinf[:number]) for number in range(len(starts))]
late = [round(wanted - start, 2) for wanted, start in zip(due, starts, strict=True)]
print("seconds that each segment is too early:", late)
raise SystemExit(not (late[0] == 0 and late[1] > 1))
PYTHON
