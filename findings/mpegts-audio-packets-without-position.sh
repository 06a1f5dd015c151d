#!/bin/sh
# FFmpeg's MPEG-TS demuxer gives a byte position to the first audio packet of each PES packet, and to no other.
#
# Versions: av 16.0.1 (PyAV, with its own FFmpeg 8), files made by FFmpeg 7.0 of imageio-ffmpeg 0.6.0.
# Expected: each packet of a container on disk has `pos`, as in MP4 and Matroska; or none has, as in a raw stream.
# Seen:     video packets have one each. Of 432 AAC packets 400 have none, of 288 AC-3 packets 246, of 383 MP2 packets 191: FFmpeg's
#           muxer puts several audio frames into a PES packet, and only the beginning of a PES packet has a position.
#           The same packets in Matroska and MP4 all have a position.
# So:       an index of byte ranges made from `packet.pos` is right for video and has holes for audio: take the last known position
#           before a packet as its start, and the next known one as its end. A sum over "packets with pos" counts a tenth of them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==16.0.1 imageio-ffmpeg==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import av
import imageio_ffmpeg

MAKE = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
MAKE += ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=10", "-f", "lavfi", "-i", "sine=duration=10"]


def without_position(name):
    """Return (packets, packets without a position) for video and audio."""
    counts = {"video": [0, 0], "audio": [0, 0]}
    with av.open(name) as container:
        for packet in container.demux():
            if packet.dts is not None:
                counts[packet.stream.type][0] += 1
                counts[packet.stream.type][1] += packet.pos is None
    return tuple(counts["video"]), tuple(counts["audio"])


as_expected = True
for codec in ("aac", "ac3", "mp2"):
    for extension in ("ts", "mkv", "mp4"):
        name = f"{codec}.{extension}"
        subprocess.run([*MAKE, "-c:v", "libx264", "-bf", "2", "-c:a", codec, name], check=True)
        video, audio = without_position(name)
        print(f"{name}: {video[1]} of {video[0]} video packets and {audio[1]} of {audio[0]} audio packets have no position")
        holes = 0.4 < audio[1] / audio[0] < 1 if extension == "ts" else audio[1] == 0
        as_expected = as_expected and video[1] == 0 and holes
raise SystemExit(not as_expected)
PYTHON
