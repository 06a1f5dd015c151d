// Plays the published video with hls.js, or natively if hls.js is not supported (Safari on iPhones).
"use strict";

(() => {
  const MEDIA_TYPE = "application/vnd.apple.mpegurl";
  const MAX_RECOVERIES = 3;
  const MIN_RENEWAL_INTERVAL_MS = 60000;
  const video = document.getElementById("player");
  if (!video) return;
  const errorBox = document.getElementById("player-error");
  const rungs = document.getElementById("rungs");
  const rungSelect = document.getElementById("rung");

  function showError(message) {
    errorBox.textContent = message;
    errorBox.hidden = false;
  }

  function playNatively() {
    video.src = video.dataset.playlist;
    video.addEventListener("error", () => showError("The video could not be loaded. Reload the page to try again."));
  }

  function showRungMenu(hls) {
    const entries = hls.levels.map((level, index) => ({ index, side: Math.min(level.width, level.height) }));
    const options = [{ index: -1, label: "Automatic" }];
    for (const { index, side } of entries.sort((a, b) => b.side - a.side)) options.push({ index, label: `${side}p` });
    rungSelect.replaceChildren(...options.map(({ index, label }) => new Option(label, index)));
    rungSelect.addEventListener("change", () => {
      hls.nextLevel = Number(rungSelect.value);
    });
    rungs.hidden = options.length < 3;
  }

  function playWithHls(Hls) {
    const hls = new Hls();
    let recoveries = 0;
    let renewedAt = -Infinity;
    hls.on(Hls.Events.MANIFEST_PARSED, () => showRungMenu(hls));
    hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => {
      const now = hls.levels[level];
      rungSelect.options[0].textContent = hls.autoLevelEnabled ? `Automatic (${Math.min(now.width, now.height)}p)` : "Automatic";
    });
    hls.on(Hls.Events.ERROR, (_, error) => {
      console.warn(`hls.js: ${error.details}${error.fatal ? ", fatal" : ""}`);
      // Presigned URLs of a private bucket expire; reloading the playlists returns new ones. S3 responds with 403 if
      // the URL has expired, and with 400 if the credentials that signed it have.
      if ([400, 403].includes(error.response?.code) && error.frag && performance.now() - renewedAt > MIN_RENEWAL_INTERVAL_MS) {
        renewedAt = performance.now();
        hls.config.startPosition = video.currentTime;
        hls.loadSource(video.dataset.playlist);
        return;
      }
      if (!error.fatal) return;
      recoveries += 1;
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries <= MAX_RECOVERIES) {
        hls.recoverMediaError();
      } else {
        hls.destroy();
        showError("The video could not be loaded. Reload the page to try again.");
      }
    });
    hls.loadSource(video.dataset.playlist);
    hls.attachMedia(video);
  }

  if (window.Hls && window.Hls.isSupported()) {
    playWithHls(window.Hls);
  } else if (video.canPlayType(MEDIA_TYPE)) {
    playNatively();
  } else if (!window.Hls) {
    showError("The player is not installed on this server (hls.js is missing), and this browser cannot play the video without it.");
  } else {
    showError("This browser cannot play the video. A current version of Firefox, Chrome, Edge or Safari can.");
  }
})();
