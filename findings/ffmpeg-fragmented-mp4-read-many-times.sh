#!/bin/sh
# ffmpeg reads a fragmented MP4 many times over if one command uses both its video and its audio.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1), demuxer mov, a file with fragments of ten seconds (fMP4, as OBS and browsers
#           record them, or a DASH/HLS download joined to one file).
# Expected: a remux with -c copy reads each byte about once.
# Seen:     in each fragment the video comes first and the audio after it. The demuxer returns packets in the order of their times, so
#           it jumps between the two, and each jump discards its buffer: nine times the size of the file here. From a network disk or
#           over HTTP that is nine times the traffic. With -interleaved_read 0 it is read once (with ffmpeg 7.0.2, that does not help).
# So:       pass -interleaved_read 0 for fragmented input, or read video and audio with two commands.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
make = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=120", "-f", "lavfi", "-i", "sine=duration=120")
encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k", "-g", "300", "-c:a", "aac")
fragments = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
subprocess.run([FFMPEG, "-v", "error", *make, *encoder, *fragments, "recording.mp4"], check=True)
size = Path("recording.mp4").stat().st_size


def bytes_read(*options):
    """Return what the process read (rchar in /proc/PID/io, proc(5)) to copy both streams."""
    child = subprocess.Popen([FFMPEG, "-v", "error", *options, "-i", "recording.mp4", "-c", "copy", "-f", "null", "-"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    counters = dict(line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines())
    if child.wait():
        sys.exit("ffmpeg failed")
    return int(counters["rchar"])


both, once = bytes_read(), bytes_read("-interleaved_read", "0")
print(f"the file has {size / 1e6:.1f} MB")
print(f"read by default: {both / 1e6:.1f} MB, {both / size:.1f} times the file")
print(f"read with -interleaved_read 0: {once / 1e6:.1f} MB, {once / size:.1f} times the file")
raise SystemExit(not (both > 5 * size and once < 2 * size))
PYTHON
