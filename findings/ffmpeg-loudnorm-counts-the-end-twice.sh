#!/bin/sh
# ffmpeg: what loudnorm reports as the loudness of its input counts the last 3 seconds twice; ebur128 does not.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
# Expected: loudnorm=print_format=json and ebur128 report the same integrated loudness (EBU R 128) of the same audio, to a tenth.
# Seen:     of a tone of 15 s whose last 3 s are 8 dB louder, ebur128 reports -21.9 LUFS, as the definition gives, and loudnorm -20.7: as if
#           the loud part lasted 6 s. If the first 3 s are louder instead, ebur128 reports the same, and loudnorm -22.3. If nothing changes,
#           both agree. Of three recordings of speech and a trumpet, 5 to 17 s long, loudnorm's input_i was 0.4 to 0.6 LU lower,
#           since they end quietly. The error shrinks with the length; tools that normalize in two passes take input_i from the first.
# So:       measure with ebur128, also to check what another program has normalized.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import math
import re
import subprocess

import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats"]
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2])
LOUD, QUIET, LENGTH_S, LOUD_S = 0.2, 0.08, 15, 3


def measured(when: str, filters: str, pattern: str) -> float:
    source = f"aevalsrc=sin(2*PI*997*t)*({QUIET}+{LOUD - QUIET}*{when}):s=48000:d={LENGTH_S}"
    run = subprocess.run([*ffmpeg, "-f", "lavfi", "-i", source, "-af", filters, "-f", "null", "-"], capture_output=True, text=True)
    return float(re.findall(pattern, run.stderr)[-1])


def by_definition(loud_s: float, quiet_s: float) -> float:
    # Of a tone of 997 Hz, the loudness is the mean power less 0.69 dB and plus 0.69 dB for the filter's gain there.
    return 10 * math.log10((LOUD**2 * loud_s + QUIET**2 * quiet_s) / (loud_s + quiet_s) / 2)


quiet_s = LENGTH_S - LOUD_S
expected = {"lt(t\\,3)": by_definition(LOUD_S, quiet_s + 3), "gt(t\\,12)": by_definition(LOUD_S + 3, quiet_s), "1": by_definition(1, 0)}
is_as_seen = True
for when, counted_twice in expected.items():
    truth = by_definition(1, 0) if when == "1" else by_definition(LOUD_S, quiet_s)
    ebur128 = measured(when, "ebur128=framelog=quiet", r"I: +(-[\d.]+) LUFS")
    loudnorm = measured(when, "loudnorm=print_format=json", r'"input_i" : "(-[\d.]+)"')
    print(f"louder where {when}: definition {truth:.1f}, ebur128 {ebur128:.1f}, loudnorm {loudnorm:.1f}, end twice {counted_twice:.1f}")
    is_as_seen &= abs(ebur128 - truth) < 0.2 and abs(loudnorm - counted_twice) < 0.2
raise SystemExit(not is_as_seen)
PYTHON
