#!/bin/sh
# ffmpeg: WebVTT captions with braces get extra characters when they are decoded, even from WebVTT to WebVTT.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1), PyAV 18.1.0.
# Expected: "set {1, 2}" stays "set {1, 2}" from one WebVTT file to another, and in SubRip.
# Seen:     it becomes "set \{{}1, 2}" in both, and in what PyAV's decoder returns. The decoder escapes braces for the renderers of ASS, and
#           no encoder removes that. From SubRip to WebVTT, braces stay as they are.
# So:       read the payload of WebVTT packets instead of decoding them: captions of programming lectures are full of braces.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1 av==18.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
Path("a.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.500\nset {1, 2}\n")
Path("a.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nset {1, 2}\n")
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2], "PyAV", av.__version__)
found = {}
for source, target in (("a.vtt", "b.vtt"), ("a.vtt", "b.srt"), ("a.srt", "c.vtt")):
    subprocess.run([*ffmpeg, "-i", source, target], check=True)
    found[source, target] = Path(target).read_text().splitlines()[-1 if target.endswith("vtt") else 2]
with av.open("a.vtt") as file:
    stream = file.streams.subtitles[0]
    subtitles = [stream.codec_context.decode2(packet) for packet in file.demux(stream) if packet.size]
    found["a.vtt", "PyAV"] = subtitles[0].rects[0].ass.decode().rpartition(",,")[2]
for way, text in found.items():
    print(*way, ascii(text))
escaped = r"set \{{}1, 2}"
raise SystemExit(list(found.values()) != [escaped, escaped, "set {1, 2}", escaped])
PYTHON
