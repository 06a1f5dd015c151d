// Drives hls.js, Shaka Player and dash.js through one set of functions. The page's address says which player and what to play.
"use strict";

const video = document.getElementById("video");
const errors = [];
const heights = [];
let stalls = 0;

const asked = new URLSearchParams(location.search);
const bufferS = Number(asked.get("buffer_s"));
const LIMIT_MS = 10_000;
const CHANGE_LIMIT_MS = 60_000;
const LIBRARIES = {
  hlsjs: "/node_modules/hls.js/dist/hls.min.js",
  shaka: "/node_modules/shaka-player/dist/shaka-player.compiled.js",
  dashjs: "/node_modules/dashjs/dist/modern/umd/dash.all.min.js",
};

async function startHlsjs(address) {
  const hls = new Hls({ maxBufferLength: bufferS, maxMaxBufferLength: bufferS, startLevel: 0 });
  hls.on(Hls.Events.ERROR, (_, { details, fatal, frag, reason }) => {
    // A forced switch fetches a segment again that is in the buffer in another rung; hls.js 1.7 wonders that nothing grew then.
    if (details === Hls.ErrorDetails.BUFFER_APPEND_NO_PROGRESS && !fatal) return;
    // It also gives up what it fetches of the rung that is left, and says so.
    if (details === Hls.ErrorDetails.INTERNAL_ABORTED && !fatal) return;
    errors.push(`${details}${fatal ? ", fatal" : ""}: ${frag?.relurl ?? ""} ${reason ?? ""}`);
  });
  const parsed = new Promise((resolve) => hls.on(Hls.Events.MANIFEST_PARSED, resolve));
  hls.loadSource(address);
  hls.attachMedia(video);
  await parsed;
  const levels = () => hls.levels.map((level, index) => ({ height: level.height, index })).sort((a, b) => a.height - b.height);
  return {
    heights: () => levels().map(({ height }) => height),
    choose: (place) => (hls.loadLevel = levels()[place].index),
    buffer: (seconds) => (hls.config.maxBufferLength = hls.config.maxMaxBufferLength = seconds),
    showCaptions: () => {
      hls.subtitleDisplay = true;
      hls.subtitleTrack = 0;
    },
  };
}

async function startShaka(address) {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.addEventListener("error", ({ detail }) => errors.push(`${detail.severity}/${detail.category}/${detail.code}`));
  await player.attach(video);
  player.configure({ abr: { enabled: false }, streaming: { bufferingGoal: bufferS, rebufferingGoal: 1 } });
  await player.load(address);
  const tracks = () => player.getVariantTracks().sort((a, b) => a.height - b.height);
  return {
    heights: () => tracks().map(({ height }) => height),
    choose: (place) => player.selectVariantTrack(tracks()[place]),
    buffer: (seconds) => player.configure({ streaming: { bufferingGoal: seconds } }),
    showCaptions: () => player.selectTextTrack(player.getTextTracks()[0]),
  };
}

async function startDashjs(address) {
  const buffered = (seconds) => ({ bufferTimeDefault: seconds, bufferTimeAtTopQuality: seconds });
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({
    debug: { logLevel: 0 },
    streaming: {
      abr: { autoSwitchBitrate: { video: false } },
      buffer: { ...buffered(bufferS), fastSwitchEnabled: false },
    },
  });
  player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => errors.push(`${error.code}: ${error.message}`));
  const ready = new Promise((resolve) => player.on(dashjs.MediaPlayer.events.STREAM_INITIALIZED, resolve));
  player.initialize(video, address, false);
  await ready;
  const rungs = () => player.getRepresentationsByType("video").sort((a, b) => a.height - b.height);
  return {
    heights: () => rungs().map(({ height }) => height),
    choose: (place) => player.setRepresentationForTypeById("video", rungs()[place].id),
    buffer: (seconds) => player.updateSettings({ streaming: { buffer: buffered(seconds) } }),
    showCaptions: () => {
      player.enableText(true);
      player.setTextTrack(0);
    },
  };
}

const STARTS = { hlsjs: startHlsjs, shaka: startShaka, dashjs: startDashjs };

function load(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${address} is missing`));
    document.head.append(script);
  });
}

async function start() {
  const player = asked.get("player");
  await load(LIBRARIES[player]);
  video.addEventListener("error", () => errors.push(`media error ${video.error.code}: ${video.error.message}`));
  video.addEventListener("resize", () => heights.push(video.videoHeight));
  const control = await STARTS[player](asked.get("address"));
  return { ...control, problems: () => ({ errors, stalls }), seen: () => heights };
}

// The number that a picture shows in bars, lowest bit left; see tests/media/clips.py.
function shownNumber(bits) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < bits; bit += 1) {
    const x = Math.floor(((bit + 0.5) * canvas.width) / bits);
    if (pen.getImageData(x, Math.floor(canvas.height / 2), 1, 1).data[0] > 127) number += 2 ** bit;
  }
  return number;
}

function within(limitMs, what, promise) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${what} did not come within ${limitMs} ms; ${JSON.stringify({ errors, stalls })}`)), limitMs);
  });
  return Promise.race([promise, late]);
}

// Seek, and tell what is shown then and how long it took.
async function seek(to, bits) {
  const began = performance.now();
  const arrived = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  const drawn = new Promise((resolve) => video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime)));
  video.currentTime = to;
  await within(LIMIT_MS, `"seeked" at ${to}`, arrived);
  const mediaTime = await within(LIMIT_MS, `a picture for ${to}`, drawn);
  return { mediaTime, number: shownNumber(bits), tookMs: performance.now() - began };
}

// Not `ended` alone: dash.js 5.2 never says that the stream is at its end when a buffer happens to be updated in that moment.
const playedOut = () => video.ended || video.duration - video.currentTime < 0.25;

function countStalls() {
  video.addEventListener("waiting", () => {
    if (!playedOut()) stalls += 1;
  });
}

let pacing;

function playAtRate(rate) {
  clearInterval(pacing);
  video.playbackRate = rate;
}

function secondsInHand() {
  for (let range = 0; range < video.buffered.length; range += 1) {
    const [start, end] = [video.buffered.start(range), video.buffered.end(range)];
    if (start <= video.currentTime && video.currentTime < end) return end - video.currentTime;
  }
  return 0;
}

// At any moment, what is in hand would last for 2.5 s. So it dwindles ever more slowly, and is not used up while the server stands
// still for a few seconds. A gap in what is played is reached all the same, and is a stall.
function playNoFasterThanInHand() {
  const pace = () => {
    const rate = Math.min(1, Math.max(0.1, Math.round(4 * secondsInHand()) / 10));
    if (rate !== video.playbackRate) video.playbackRate = rate;
  };
  pace();
  pacing = setInterval(pace, 50);
}

// Play, and choose one rung after the other, each once the one before is shown.
async function changeThrough(places) {
  for (const place of places) {
    const height = control.heights()[place];
    control.choose(place);
    if (video.paused) await video.play();
    const shown = new Promise((resolve) => {
      const look = () => video.videoHeight === height && resolve();
      video.addEventListener("resize", look);
      look();
    });
    await within(CHANGE_LIMIT_MS, `a picture of ${height} lines`, shown);
  }
}

const cues = () => [...video.textTracks].flatMap((track) => [...(track.cues ?? [])]).map((cue) => [cue.startTime, cue.endTime, cue.text]);
