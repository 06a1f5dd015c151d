// Drives hls.js, Shaka Player and dash.js through a common set of functions. The page's URL names the
// player and the manifest.
"use strict";

const video = document.getElementById("video");
const errors = [];
const heights = [];
let stalls = 0;

const query = new URLSearchParams(location.search);
const bufferS = Number(query.get("buffer_s"));
const LIMIT_MS = 10_000;
const CHANGE_LIMIT_MS = 60_000;
const LIBRARIES = {
  hlsjs: "/node_modules/hls.js/dist/hls.min.js",
  shaka: "/node_modules/shaka-player/dist/shaka-player.compiled.js",
  dashjs: "/node_modules/dashjs/dist/modern/umd/dash.all.min.js",
};

async function startHlsjs(url) {
  const hls = new Hls({ maxBufferLength: bufferS, maxMaxBufferLength: bufferS, startLevel: 0 });
  hls.on(Hls.Events.ERROR, (_, { details, fatal, frag, reason }) => {
    // A forced switch fetches a segment that is already buffered in another rung; hls.js 1.7 then
    // reports no progress.
    if (details === Hls.ErrorDetails.BUFFER_APPEND_NO_PROGRESS && !fatal) return;
    // It also reports that it aborts the fetches of the previous rung.
    if (details === Hls.ErrorDetails.INTERNAL_ABORTED && !fatal) return;
    errors.push(`${details}${fatal ? ", fatal" : ""}: ${frag?.relurl ?? ""} ${reason ?? ""}`);
  });
  const parsed = new Promise((resolve) => hls.on(Hls.Events.MANIFEST_PARSED, resolve));
  hls.loadSource(url);
  hls.attachMedia(video);
  await parsed;
  const levels = () => hls.levels.map((level, index) => ({ height: level.height, index })).sort((a, b) => a.height - b.height);
  return {
    heights: () => levels().map(({ height }) => height),
    choose: (place) => (hls.loadLevel = levels()[place].index),
    buffer: (seconds) => (hls.config.maxBufferLength = hls.config.maxMaxBufferLength = seconds),
    audioNames: () => hls.audioTracks.map(({ name }) => name),
    chooseAudio: (place) => (hls.audioTrack = place),
    showCaptions: () => {
      hls.subtitleDisplay = true;
      hls.subtitleTrack = 0;
    },
  };
}

async function startShaka(url) {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.addEventListener("error", ({ detail }) => errors.push(`${detail.severity}/${detail.category}/${detail.code}`));
  await player.attach(video);
  player.configure({ abr: { enabled: false }, streaming: { bufferingGoal: bufferS, rebufferingGoal: 1 } });
  await player.load(url);
  const tracks = () => player.getVariantTracks().sort((a, b) => a.height - b.height);
  return {
    heights: () => tracks().map(({ height }) => height),
    choose: (place) => player.selectVariantTrack(tracks()[place]),
    buffer: (seconds) => player.configure({ streaming: { bufferingGoal: seconds } }),
    audioNames: () => player.getAudioTracks().map(({ label }) => label),
    chooseAudio: (place) => player.selectAudioTrack(player.getAudioTracks()[place]),
    showCaptions: () => player.selectTextTrack(player.getTextTracks()[0]),
  };
}

async function startDashjs(url) {
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
  player.initialize(video, url, false);
  await ready;
  const rungs = () => player.getRepresentationsByType("video").sort((a, b) => a.height - b.height);
  return {
    heights: () => rungs().map(({ height }) => height),
    choose: (place) => player.setRepresentationForTypeById("video", rungs()[place].id),
    buffer: (seconds) => player.updateSettings({ streaming: { buffer: buffered(seconds) } }),
    audioNames: () => player.getTracksFor("audio").map(({ labels }) => labels[0].text),
    chooseAudio: (place) => player.setCurrentTrack(player.getTracksFor("audio")[place]),
    showCaptions: () => {
      player.enableText(true);
      player.setTextTrack(0);
    },
  };
}

const STARTS = { hlsjs: startHlsjs, shaka: startShaka, dashjs: startDashjs };

function load(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${url} is missing`));
    document.head.append(script);
  });
}

async function start() {
  const player = query.get("player");
  await load(LIBRARIES[player]);
  video.addEventListener("error", () => errors.push(`media error ${video.error.code}: ${video.error.message}`));
  video.addEventListener("resize", () => heights.push(video.videoHeight));
  const control = await STARTS[player](query.get("url"));
  return { ...control, problems: () => ({ errors, stalls }), seen: () => heights };
}

// Return the number that a frame shows as bars, lowest bit on the left; see tests/media/clips.py.
function shownNumber(bits) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < bits; bit += 1) {
    const x = Math.floor(((bit + 0.5) * canvas.width) / bits);
    if (context.getImageData(x, Math.floor(canvas.height / 2), 1, 1).data[0] > 127) number += 2 ** bit;
  }
  return number;
}

function withTimeout(limitMs, what, promise) {
  const timeout = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${what} did not happen within ${limitMs} ms; ${JSON.stringify({ errors, stalls })}`)), limitMs);
  });
  return Promise.race([promise, timeout]);
}

// Seek, and return which frame is shown then and how long it took.
async function seek(to, bits) {
  const began = performance.now();
  const arrived = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  const drawn = new Promise((resolve) => video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime)));
  video.currentTime = to;
  await withTimeout(LIMIT_MS, `"seeked" at ${to}`, arrived);
  const mediaTime = await withTimeout(LIMIT_MS, `a frame for ${to}`, drawn);
  return { mediaTime, number: shownNumber(bits), tookMs: performance.now() - began };
}

// Return the frequency in Hz of the strongest tone that is played now, within 12 Hz.
let analyser = null;
async function playedHz() {
  if (analyser === null) {
    const context = new AudioContext({ sampleRate: 48_000 });
    analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
    context.createMediaElementSource(video).connect(analyser);
    await context.resume();
  }
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const strongest = levels.indexOf(Math.max(...levels));
  return levels[strongest] < -80 ? 0 : (strongest * 48_000) / 4096;
}

// Not `ended` alone: dash.js 5.2 never signals the end of the stream if a buffer happens to be updated
// at that moment.
const playedOut = () => video.ended || video.duration - video.currentTime < 0.25;

// Where a video that is still being made ends now. A player may wait a little before that.
let edgeS = Infinity;
const EDGE_S = 1;

function countStalls() {
  video.addEventListener("waiting", () => {
    if (!video.seeking && !playedOut() && video.currentTime < edgeS - EDGE_S) stalls += 1;
  });
}

let pacing;

function playAtRate(rate) {
  clearInterval(pacing);
  video.playbackRate = rate;
}

function bufferedAheadS() {
  for (let range = 0; range < video.buffered.length; range += 1) {
    const [start, end] = [video.buffered.start(range), video.buffered.end(range)];
    if (start <= video.currentTime && video.currentTime < end) return end - video.currentTime;
  }
  return 0;
}

// Play at a rate at which the buffered seconds would last for 2.5 s. So the buffer drains ever more
// slowly, and does not run empty while the server stalls for a few seconds. A gap in the media is
// still reached, and is a stall.
function pacePlaybackByBuffer() {
  const pace = () => {
    const rate = Math.min(1, Math.max(0.1, Math.round(4 * bufferedAheadS()) / 10));
    if (rate !== video.playbackRate) video.playbackRate = rate;
  };
  pace();
  pacing = setInterval(pace, 50);
}

// Play, and choose one rung after the other, each once the previous one is shown.
async function switchThroughRungs(places) {
  for (const place of places) {
    const height = control.heights()[place];
    control.choose(place);
    if (video.paused) await video.play();
    const shown = new Promise((resolve) => {
      const check = () => video.videoHeight === height && resolve();
      video.addEventListener("resize", check);
      check();
    });
    await withTimeout(CHANGE_LIMIT_MS, `a frame of ${height} lines`, shown);
  }
}

const cues = () => [...video.textTracks].flatMap((track) => [...(track.cues ?? [])]).map((cue) => [cue.startTime, cue.endTime, cue.text]);
