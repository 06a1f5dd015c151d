#!/bin/sh
# In Chromium, appending a segment deletes one that is already buffered, if frames are long.
#
# Versions: Chromium 150.0.7871.100 (Debian 12), playwright 1.57.0, ffmpeg 7.0.2 (wheel imageio-ffmpeg 0.6.0).
# Expected: segments of a SourceBuffer can be appended in any order; a segment from 4 s on leaves the one from 2 s to 4 s alone.
# Seen:     with frames that last 2 s, one to a segment, the order 1, 0, 2 loses segment 1 (2 s to 4 s). `buffered` still has one
#           range from beginning to end, and a seek to 3 s shows the frame of 4 s. In the order 0, 1, 2 it shows the right one, and with
#           frames of 1/5 s both orders do. Chromium takes an append for the continuation of the one before if it begins less than about
#           two of the longest frame distances after its last frame, and removes what is between.
# So:       a video whose frames may last long needs segments that are longer than two such frames: players append out of order when
#           they replace a segment by a better rung.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chromium=$(command -v chromium)
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0 playwright==1.57.0
cd "$folder"
CHROMIUM=$chromium venv/bin/python - <<'PYTHON'
import base64
import os
import struct
import subprocess

import imageio_ffmpeg
from playwright.sync_api import sync_playwright

SEGMENT_S, SEGMENTS = 2, 6
PAGE = """
async ([init, segments, order, at]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const video = document.createElement("video");
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((resolve) => source.addEventListener("sourceopen", resolve, { once: true }));
  const buffer = source.addSourceBuffer('video/mp4; codecs="avc1.64000c"');
  for (const piece of [init, ...order.map((number) => segments[number])]) {
    buffer.appendBuffer(bytes(piece));
    await new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
  }
  source.endOfStream();
  const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  video.currentTime = at;
  await seeked;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  return [video.buffered.length, Math.round(context.getImageData(20, 20, 1, 1).data[0] / 30)];
}
"""


def clip(frames_of_a_segment: int) -> tuple[str, list[str]]:
    """Return the init segment and the media segments; each segment is a shade of grey lighter than the one before."""
    rate = f"{frames_of_a_segment}/{SEGMENT_S}"
    shade = f"color=black:s=160x90:r={rate},geq=lum='16+26*floor(N/{frames_of_a_segment})':cb=128:cr=128"
    frames = str(frames_of_a_segment * SEGMENTS)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", shade, "-frames:v", frames]
    command += ["-c:v", "libx264", "-bf", "0", "-g", str(frames_of_a_segment), "-sc_threshold", "0", "-profile:v", "high"]
    command += ["-level", "1.2", "-pix_fmt", "yuv420p", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"]
    data = subprocess.run([*command, "-f", "mp4", "pipe:1"], check=True, capture_output=True).stdout
    pieces, at = [b""], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"moof":
            pieces.append(b"")
        pieces[-1] += data[at : at + size]
        at += size
    init, *segments = (base64.b64encode(piece).decode() for piece in pieces)
    return init, segments


found = {}
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox", "--disable-gpu"])
    print("Chromium", browser.version)
    page = browser.new_page()
    for name, frames in {"frames of 2 s": 1, "frames of 0.2 s": 10}.items():
        init, segments = clip(frames)
        for order in ([0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5]):
            found[name, order[0]] = page.evaluate(PAGE, [init, segments, order, 3.1])
            print(f"{name}, order {order}: ranges, segment shown at 3.1 s: {found[name, order[0]]}")
    browser.close()
right, wrong = [1, 1], [1, 2]
raise SystemExit(list(found.values()) != [right, wrong, right, right])
PYTHON
