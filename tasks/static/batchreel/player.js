// Plays the published video: by hls.js, or by the browser itself where hls.js is not supported (Safari on iPhones).
"use strict";

(() => {
  const MEDIA_TYPE = "application/vnd.apple.mpegurl";
  const MOST_RECOVERIES = 3;
  const LEAST_RENEWAL_MS = 60000;
  const video = document.getElementById("player");
  if (!video) return;
  const trouble = document.getElementById("player-error");
  const rungs = document.getElementById("rungs");
  const choice = document.getElementById("rung");

  function tell(sentence) {
    trouble.textContent = sentence;
    trouble.hidden = false;
  }

  function playNatively() {
    video.src = video.dataset.manifest;
    video.addEventListener("error", () => tell("The video could not be loaded. Reload the page to try again."));
  }

  function offerRungs(hls) {
    const entries = hls.levels.map((level, index) => ({ index, side: Math.min(level.width, level.height) }));
    const options = [{ index: -1, words: "Automatic" }];
    for (const { index, side } of entries.sort((a, b) => b.side - a.side)) options.push({ index, words: `${side}p` });
    choice.replaceChildren(...options.map(({ index, words }) => new Option(words, index)));
    choice.addEventListener("change", () => {
      hls.nextLevel = Number(choice.value);
    });
    rungs.hidden = options.length < 3;
  }

  function playByHls(Hls) {
    const hls = new Hls();
    let recoveries = 0;
    let renewedAt = -Infinity;
    hls.on(Hls.Events.MANIFEST_PARSED, () => offerRungs(hls));
    hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => {
      const now = hls.levels[level];
      choice.options[0].textContent = hls.autoLevelEnabled ? `Automatic (${Math.min(now.width, now.height)}p)` : "Automatic";
    });
    hls.on(Hls.Events.ERROR, (_, error) => {
      console.warn(`hls.js: ${error.details}${error.fatal ? ", fatal" : ""}`);
      // The addresses of a private bucket work for a while: playlists that are fetched again have new ones. S3 answers 403 where an
      // address has run out, 400 where the credentials that signed it have.
      if ([400, 403].includes(error.response?.code) && error.frag && performance.now() - renewedAt > LEAST_RENEWAL_MS) {
        renewedAt = performance.now();
        hls.config.startPosition = video.currentTime;
        hls.loadSource(video.dataset.manifest);
        return;
      }
      if (!error.fatal) return;
      recoveries += 1;
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries <= MOST_RECOVERIES) {
        hls.recoverMediaError();
      } else {
        hls.destroy();
        tell("The video could not be loaded. Reload the page to try again.");
      }
    });
    hls.loadSource(video.dataset.manifest);
    hls.attachMedia(video);
  }

  if (window.Hls && window.Hls.isSupported()) {
    playByHls(window.Hls);
  } else if (video.canPlayType(MEDIA_TYPE)) {
    playNatively();
  } else if (!window.Hls) {
    tell("The player is not installed on this server (hls.js is missing), and this browser cannot play the video without it.");
  } else {
    tell("This browser cannot play the video. A current version of Firefox, Chrome, Edge or Safari can.");
  }
})();
