#!/bin/sh
# Shaka Player: captions whose HLS playlist has EXT-X-ENDLIST stop the reloading of the video's playlist, although they may end earlier.
#
# Versions: shaka-player 5.2.12, Chromium of the system (any recent one), files made by FFmpeg 7.0 of imageio-ffmpeg 0.6.0.
# Expected: RFC 8216, 6.2.4, exempts text playlists that contain EXT-X-ENDLIST from the rule that all playlists of a master have the
#           same target duration, so a growing video may have finished captions; a player reloads each list that has not ended.
# Seen:     without captions, or while they are off, the EVENT playlist of the video is requested every few seconds. With captions
#           from a finished playlist switched on, it is requested once and never again, and the presentation is no longer in progress:
#           it ends where it was when the page was opened, without an error.
# So:       leave finished captions out of a master while its video grows, or let their playlist grow too.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0
cd "$folder"
npm install --silent --no-audit --no-fund shaka-player@5.2.12
venv/bin/python - <<'PYTHON'
import shutil
import subprocess
import threading
import time
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio_ffmpeg

WATCHED_S = 12
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
PAGE = """<!doctype html><video muted autoplay></video>
<script src="node_modules/shaka-player/dist/shaka-player.compiled.js"></script>
<script>
const player = new shaka.Player();
player.attach(document.querySelector("video")).then(() => player.load("MASTER")).then(() => {
  const [captions] = player.getTextTracks();
  if (captions) player.selectTextTrack(captions);
});
setInterval(() => fetch("in-progress-" + (player.isInProgress() || player.isLive())), 1000);
</script>"""
VARIANT = '#EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS="avc1.42c00d",RESOLUTION=320x180'

subprocess.run(
    [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=60"),
        *("-c:v", "libx264", "-profile:v", "baseline", "-g", "50", "-f", "hls", "-hls_time", "2", "-hls_segment_type", "fmp4"),
        *("-hls_playlist_type", "event", "video.m3u8"),
    ],
    check=True,
)
growing = Path("video.m3u8").read_text().replace("#EXT-X-ENDLIST\n", "")
Path("video.m3u8").write_text(growing)
Path("captions.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:59.000\nText\n")
Path("captions.m3u8").write_text(
    "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:60\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:60,\ncaptions.vtt\n#EXT-X-ENDLIST\n"
)
head = "#EXTM3U\n#EXT-X-VERSION:7\n"
Path("alone.m3u8").write_text(f"{head}{VARIANT}\nvideo.m3u8\n")
Path("captioned.m3u8").write_text(
    f'{head}#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="captions.m3u8"\n'
    f'{VARIANT},SUBTITLES="s"\nvideo.m3u8\n'
)


class Counting(SimpleHTTPRequestHandler):
    requested = Counter()

    def do_GET(self):
        self.requested[self.path.strip("/")] += 1
        super().do_GET()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory="."))
threading.Thread(target=server.serve_forever, daemon=True).start()
reloads = {}
for master in ("alone", "captioned"):
    Path("page.html").write_text(PAGE.replace("MASTER", f"{master}.m3u8"))
    Counting.requested.clear()
    url = f"http://127.0.0.1:{server.server_port}/page.html"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")
    browser = subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir=profile-{master}", "--remote-debugging-port=0", url], stderr=subprocess.DEVNULL
    )
    time.sleep(WATCHED_S)
    browser.terminate()
    browser.wait()
    requested = dict(Counting.requested)
    print(f"{master}: {({name: count for name, count in requested.items() if '.m3u8' in name or 'progress' in name})}")
    reloads[master] = requested
server.shutdown()
alone, captioned = reloads["alone"], reloads["captioned"]
is_grown = alone["video.m3u8"] >= 3 and "in-progress-true" in alone
is_stopped = captioned["video.m3u8"] <= 2 and captioned["captions.m3u8"] == 1
raise SystemExit(not (is_grown and is_stopped))
PYTHON
