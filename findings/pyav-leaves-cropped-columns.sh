#!/bin/sh
# PyAV: of columns that a file crops away at the left, decoded frames still have those up to the last multiple of 64.
#
# Versions: PyAV 18.1.0, ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
# Expected: frames of the size and content that the command-line program returns for the same file.
# Seen:     H.264 of 128x96 whose parameter sets crop 4, 16 or 40 columns at the left has frames of 124, 112 and 88 columns in ffmpeg,
#           but of 128 in PyAV: nothing is cropped. Of 68 columns, 64 are cropped. Only multiples of 64 give the same frames.
#           libav crops by moving the beginning of each row, and without the flag "unaligned" it keeps rows at multiples of 32 bytes,
#           those of halved chroma too. ffmpeg's program crops exactly. Columns at the right are always cropped. Nothing is logged.
# So:       set Flags.unaligned on the codec context before decoding (the frames are then equal, sample for sample); otherwise, sizes
#           read with PyAV differ from those that ffmpeg encodes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1 av==18.1.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import av
import imageio_ffmpeg
import numpy as np
from av.codec.context import Flags

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2], "PyAV", av.__version__)


def run(*options: str) -> bytes:
    return subprocess.run([*ffmpeg, *options], check=True, capture_output=True).stdout


def first_frame(*flags: Flags) -> av.VideoFrame:
    with av.open("cropped.mp4") as file:
        for flag in flags:
            file.streams.video[0].codec_context.flags |= flag
        return next(file.decode(video=0))


run("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=5:duration=1", "-c:v", "libx264", "-pix_fmt", "yuv420p", "whole.mp4")
found = {}
for left in (4, 16, 40, 64, 68):
    run("-i", "whole.mp4", "-c", "copy", "-bsf:v", f"h264_metadata=crop_left={left}", "cropped.mp4")
    exact = np.frombuffer(run("-i", "cropped.mp4", "-frames:v", "1", "-f", "rawvideo", "-"), np.uint8)
    frames = first_frame(), first_frame(Flags.unaligned)
    same = tuple(np.array_equal(frame.to_ndarray().reshape(-1), exact) for frame in frames)
    found[left] = (exact.size * 2 // 3 // 96, frames[0].width, frames[1].width, *same)
    print(f"{left} cropped: ffmpeg {found[left][0]} columns, PyAV {found[left][1]}, with unaligned {found[left][2]}; equal: {same}")
expected = {
    4: (124, 128, 124, False, True),
    16: (112, 128, 112, False, True),
    40: (88, 128, 88, False, True),
    64: (64, 64, 64, True, True),
    68: (60, 64, 60, False, True),
}
raise SystemExit(found != expected)
PYTHON
