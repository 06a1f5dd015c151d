// Plays the published video, or one that is still being made, with hls.js, or natively if hls.js is not supported
// (Safari on iPhones).
"use strict";

function startPlayer() {
  const { gettext, interpolate } = window.django;
  const MEDIA_TYPE = "application/vnd.apple.mpegurl";
  const MAX_RECOVERIES = 3;
  const MIN_RENEWAL_INTERVAL_MS = 60000;
  const FIRST_PAUSE_MS = 1000;
  const MAX_PAUSE_MS = 10000;
  const GIVE_UP_AFTER_MS = 30 * 60 * 1000;
  const FAILED = gettext("The video could not be loaded. Reload the page to try again.");
  const INTERRUPTED = gettext("The server cannot be reached. Playback will continue here as soon as it can.");
  const video = document.getElementById("player");
  if (!video?.dataset.playlist || "started" in video.dataset) return;
  video.dataset.started = "";
  // Its playlist is read again and again, until it is whole or its job has ended.
  const isGrowing = "growing" in video.dataset;
  const ENDED_STATUSES = [403, 404, 410];
  const errorBox = document.getElementById("player-error");
  const rungs = document.getElementById("rungs");
  const rungSelect = document.getElementById("rung");

  function showError(message, kind = "error") {
    errorBox.className = `message ${kind}`;
    errorBox.textContent = message;
    errorBox.hidden = false;
  }

  // A deployment or an overloaded storage makes the server unavailable for minutes. Meanwhile `resume` is called after growing
  // pauses; the player keeps its position.
  function outageHandler(resume) {
    let sinceMs = null;
    let pauseMs = FIRST_PAUSE_MS;
    let timer = 0;
    return {
      interrupted() {
        clearTimeout(timer);
        sinceMs ??= performance.now();
        if (performance.now() - sinceMs > GIVE_UP_AFTER_MS) return showError(FAILED);
        showError(INTERRUPTED, "info");
        timer = setTimeout(resume, pauseMs);
        pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
      },
      over() {
        if (sinceMs === null) return;
        clearTimeout(timer);
        sinceMs = null;
        pauseMs = FIRST_PAUSE_MS;
        errorBox.hidden = true;
      },
    };
  }

  // What was loaded can still be watched.
  function onStopped(stop) {
    document.addEventListener("batchreel:stopped", ({ detail }) => stop(`${detail} ${gettext("What follows cannot be watched.")}`));
  }

  function messageOf(error) {
    try {
      const { code, errors } = JSON.parse(error.networkDetails.responseText);
      return code === "NOT_FOUND" ? gettext("The video is no longer available. If you have been signed out, sign in again.") : errors.join(" ");
    } catch {
      return FAILED;
    }
  }

  // A CDN may require signed cookies, which this site sets. `cookies` is the address of the response that does.
  const { cookies } = video.dataset;
  const isElsewhere = new URL(video.dataset.playlist ?? "", location.href).origin !== location.origin;

  async function fetchCookies() {
    if (!cookies) return;
    await fetch(cookies, { headers: { Accept: "application/json" } }).catch(() => {});
  }

  function playNatively() {
    let positionS = 0;
    let isPaused = true;
    const outage = outageHandler(() => {
      video.load();
      video.addEventListener("loadedmetadata", () => { video.currentTime = positionS; }, { once: true });
      if (!isPaused) video.play().catch(() => {});
    });
    let isStopped = false;
    onStopped((message) => {
      isStopped = true;
      showError(message, "info");
    });
    if (cookies && isElsewhere) video.crossOrigin = "use-credentials";
    video.src = video.dataset.playlist;
    video.addEventListener("playing", outage.over);
    video.addEventListener("error", () => {
      if (isStopped) return;
      // A unit may be made again, and browsers report a missing or damaged one in different ways.
      if (!isGrowing && video.error.code !== MediaError.MEDIA_ERR_NETWORK) return showError(FAILED);
      if (video.currentTime > 0) [positionS, isPaused] = [video.currentTime, video.paused];
      outage.interrupted();
    });
  }

  // Fewer retries than by default: outageHandler makes the others, and shows a message meanwhile.
  function withOneRetry({ default: policy }) {
    return { default: { ...policy, errorRetry: { ...policy.errorRetry, maxNumRetry: 1 } } };
  }

  function isOutage(error) {
    const status = error.response?.code;
    return !status || status >= 500 || status === 408 || status === 429;
  }

  function showRungMenu(hls) {
    const entries = hls.levels.map((level, index) => ({ index, side: Math.min(level.width, level.height) }));
    const options = [{ index: -1, label: gettext("Automatic") }];
    for (const { index, side } of entries.sort((a, b) => b.side - a.side)) options.push({ index, label: `${side}p` });
    rungSelect.replaceChildren(...options.map(({ index, label }) => new Option(label, index)));
    rungSelect.addEventListener("change", () => {
      hls.nextLevel = Number(rungSelect.value);
    });
    rungs.hidden = options.length < 3;
  }

  function playWithHls(Hls) {
    const { fragLoadPolicy, playlistLoadPolicy, manifestLoadPolicy } = Hls.DefaultConfig;
    const hls = new Hls({
      fragLoadPolicy: withOneRetry(fragLoadPolicy),
      playlistLoadPolicy: withOneRetry(playlistLoadPolicy),
      manifestLoadPolicy: withOneRetry(manifestLoadPolicy),
      ...(isGrowing ? { startPosition: 0 } : {}),
      ...(cookies ? { xhrSetup: (xhr, url) => { xhr.withCredentials = new URL(url, location.href).origin !== location.origin; } } : {}),
    });
    const outage = outageHandler(() => (hls.levels.length ? hls.startLoad() : hls.loadSource(video.dataset.playlist)));
    let recoveries = 0;
    let renewedAt = -Infinity;
    hls.on(Hls.Events.MANIFEST_PARSED, () => showRungMenu(hls));
    hls.on(Hls.Events.FRAG_LOADED, outage.over);
    hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => {
      const now = hls.levels[level];
      rungSelect.options[0].textContent = hls.autoLevelEnabled
        ? interpolate(gettext("Automatic (%(side)sp)"), { side: Math.min(now.width, now.height) }, true)
        : gettext("Automatic");
    });
    hls.on(Hls.Events.ERROR, (_, error) => {
      console.warn(`hls.js: ${error.details}${error.fatal ? ", fatal" : ""}`);
      // Presigned URLs of a private bucket expire; reloading the playlists returns new ones. S3 responds with 403 if
      // the URL has expired, and with 400 if the credentials that signed it have.
      if ([400, 403].includes(error.response?.code) && error.frag && performance.now() - renewedAt > MIN_RENEWAL_INTERVAL_MS) {
        renewedAt = performance.now();
        hls.config.startPosition = video.currentTime;
        fetchCookies().then(() => hls.loadSource(video.dataset.playlist));
        return;
      }
      if (isGrowing && !error.frag && ENDED_STATUSES.includes(error.response?.code)) {
        hls.stopLoad();
        showError(messageOf(error), "info");
        return;
      }
      if (!error.fatal) return;
      // A unit may be made again, so what is missing or damaged now may be there when the playlist was read again.
      if (error.type === Hls.ErrorTypes.NETWORK_ERROR && (isOutage(error) || (isGrowing && error.frag))) {
        outage.interrupted();
        return;
      }
      recoveries += 1;
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries <= MAX_RECOVERIES) {
        hls.recoverMediaError();
      } else {
        hls.stopLoad();
        showError(FAILED);
      }
    });
    onStopped((message) => {
      outage.over();
      hls.stopLoad();
      showError(message, "info");
    });
    document.addEventListener("batchreel:inserted", () => video.isConnected || hls.destroy());
    hls.loadSource(video.dataset.playlist);
    hls.attachMedia(video);
  }

  if (window.Hls && window.Hls.isSupported()) {
    fetchCookies().then(() => playWithHls(window.Hls));
  } else if (video.canPlayType(MEDIA_TYPE)) {
    fetchCookies().then(playNatively);
  } else if (!window.Hls) {
    showError(gettext("The player is not installed on this server (hls.js is missing), and this browser cannot play the video without it."));
  } else {
    showError(gettext("This browser cannot play the video. A current version of Firefox, Chrome, Edge or Safari can."));
  }
}

startPlayer();
document.addEventListener("batchreel:inserted", startPlayer);
