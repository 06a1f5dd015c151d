#!/bin/sh
# ffmpeg: psnr, ssim and libvmaf compare one of two inputs after a colour conversion if only the other is tagged with its matrix.
#
# Version:  ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
# Expected: two streams with the same samples compare as equal whatever their tags: all three filters compare samples.
# Seen:     a stream against itself has PSNR inf, SSIM 1 and VMAF 99.5. Against its copy of which only the tag differs (BT.709, the
#           samples untouched), it has PSNR 24 to 28 dB, SSIM 0.97 and VMAF 46 or 80, depending on which of the two is the reference.
#           Filter graphs negotiate the colour space as they do the pixel format, and a scale filter is inserted before one input, which
#           converts an unknown matrix as if it were BT.601. The log shows it from the level "verbose" on.
# So:       tag both inputs alike (setparams) before comparing; encodes are mostly tagged, sources often are not, and a quality
#           measurement of them is a measurement of that conversion.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import re
import subprocess

import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-y"]
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2])
SCORES = {"psnr": r"average:(\S+)", "ssim": r"All:(\S+)", "libvmaf": r"VMAF score: (\S+)"}


def run(*options: str) -> str:
    return subprocess.run([*ffmpeg, *options], check=True, capture_output=True, text=True).stderr


def score(name: str, compared: str, reference: str) -> float:
    log = run("-i", f"{compared}.mkv", "-i", f"{reference}.mkv", "-lavfi", name, "-f", "null", "-")
    return float(re.findall(SCORES[name], log)[-1])


def checksum(name: str) -> str:
    return run("-v", "info", "-i", f"{name}.mkv", "-vf", "showinfo=checksum=1", "-f", "null", "-")


run("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=5:duration=1", "-c:v", "ffv1", "-pix_fmt", "yuv420p", "plain.mkv")
run("-i", "plain.mkv", "-c:v", "ffv1", "-vf", "setparams=colorspace=bt709", "tagged.mkv")
samples = [re.findall(r" checksum:(\w+)", checksum(name)) for name in ("plain", "tagged")]
print("samples equal:", samples[0] == samples[1] != [])
as_expected = samples[0] == samples[1] != []
for pair in (("plain", "plain"), ("tagged", "tagged"), ("tagged", "plain"), ("plain", "tagged")):
    found = {name: score(name, *pair) for name in SCORES}
    print(f"{pair[0]} against {pair[1]}:", ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
    if pair[0] == pair[1]:
        as_expected &= found["psnr"] == float("inf") and found["libvmaf"] > 99
    else:
        as_expected &= found["psnr"] < 30 and found["ssim"] < 0.98 and found["libvmaf"] < 85
raise SystemExit(not as_expected)
PYTHON
