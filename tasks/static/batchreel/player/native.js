// Plays HLS without hls.js: Safari on iPhones, which have no Media Source Extensions.

import { FAILED, outageHandler } from "./outage.js";

/** Play the playlist. Return what the settings can choose from. */
export function playNatively(player) {
  const { video, signal } = player;
  let positionS = player.startS;
  let isPaused = true;
  let isStopped = false;
  const outage = outageHandler(player, () => {
    video.load();
    if (!isPaused) video.play().catch(() => {});
  });
  player.onStop((message) => {
    isStopped = true;
    outage.over();
    player.showMessage(message, "info");
  });
  if (player.needsCookies && player.isElsewhere) video.crossOrigin = "use-credentials";
  video.addEventListener("loadedmetadata", () => {
    if (positionS) video.currentTime = positionS;
  }, { signal });
  video.addEventListener("playing", outage.over, { signal });
  video.addEventListener("error", () => {
    if (isStopped || !video.error) return;
    // A unit may be made again, and browsers report a missing or damaged one in different ways.
    if (!player.isGrowing && video.error.code !== MediaError.MEDIA_ERR_NETWORK) return player.showMessage(FAILED);
    if (video.currentTime > 0) [positionS, isPaused] = [video.currentTime, video.paused];
    outage.interrupted();
  }, { signal });
  video.src = player.playlistUrl;
  offerAudioTracks(player);
}

// Safari has the tracks of the playlist; other browsers have no such list.
function offerAudioTracks({ video, settings, signal }) {
  const { audioTracks } = video;
  if (!audioTracks) return;
  const show = () => settings.offerAudio(
    [...audioTracks].map(({ label, language }) => ({ label, language })),
    [...audioTracks].findIndex(({ enabled }) => enabled),
    (index) => [...audioTracks].forEach((track, at) => { track.enabled = at === index; }),
  );
  for (const event of ["addtrack", "change"]) audioTracks.addEventListener(event, show, { signal });
}
