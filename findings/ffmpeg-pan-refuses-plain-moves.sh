#!/bin/sh
# ffmpeg: the filter pan mixes the channels of any layout, but refuses to only move those of some layouts.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
# Expected: pan=stereo|c0=c0|c1=c1 takes the first two channels of any input, whatever they are called, as pan=stereo|c0=0.5*c0|c1=0.5*c1
#           does. It needs no knowledge of the layout.
# Seen:     with a front left and a front centre channel (two mono microphones in a MOV), the first fails: "Input channel layout '2 channels
#           (FL+FC)' is not supported", exit code 234. The second works. If each output is exactly one input, pan passes the work to the
#           resampler, which refuses layouts without pairs of left and right; else pan gives it a matrix, and then any layout will do.
#           channelmap=map=0|1:channel_layout=stereo moves the channels of any layout.
# So:       move channels with channelmap, mix them with pan.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2])
make = "sine=300:d=1,pan=FL+FC|c0=c0|c1=0.3*c0"
subprocess.run([*ffmpeg, "-f", "lavfi", "-i", make, "-c:a", "pcm_s16le", "a.mov"], check=True)
found = {}
for filters in (
    "pan=stereo|c0=c0|c1=c1",
    "pan=stereo|c0=0.5*c0|c1=0.5*c1",
    "channelmap=map=0|1:channel_layout=stereo",
):
    run = subprocess.run([*ffmpeg, "-i", "a.mov", "-af", filters, "-f", "null", "-"], capture_output=True, text=True)
    found[filters] = run.returncode
    print(run.returncode, filters, *run.stderr.splitlines()[:1])
raise SystemExit([code == 0 for code in found.values()] != [False, True, True])
PYTHON
