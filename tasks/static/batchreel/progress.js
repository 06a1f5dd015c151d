// Keeps what a page shows of its videos up to date with a single request every few seconds: in a list, and on a video's own page.
// The page itself is never loaded again: what has changed is exchanged (live/exchange.js), and a player in use stays.
import { announce } from "./live/announce.js";
import { detailsOf, isGrowing } from "./live/details.js";
import { hideSignedOut, offerNewVersion, showSignedOut } from "./live/notices.js";
import { SignedOutError, container, isList, refresh, renewTokens, request, showGone } from "./live/page.js";

const { gettext } = globalThis.django;
const INTERVAL_MS = 2000;
const MAX_INTERVAL_MS = 30000;
const MAX_VIDEOS = 50;
const PLAYERS = ".batchreel-player video";
const pageTitle = document.title;
let failures = 0;
let timer = 0;
let isPolling = false;
let isStale = false;

const all = () => [...container.querySelectorAll(".progress[data-video]")];
const isChanging = (block) => "active" in block.dataset || ["WAITING", "UPLOADING"].includes(block.dataset.status);

// Playback must not be interrupted, nor taken back to the beginning. A player may be at a remembered position before it is used.
const isWatching = () => [...document.querySelectorAll(PLAYERS)].some((player) => !player.paused || player.played.length > 0);

// Writes only changes, so that nothing moves under a selection.
function write(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

// The player of a growing video would ask in vain for what is not made any more.
function stopPlayer(message) {
  document.dispatchEvent(new CustomEvent("batchreel:stopped", { detail: message }));
}

/** Write what changes all the time. Returns whether the server has to render more of this video again. */
function update(block, video) {
  const part = (name) => block.querySelector(`[data-part=${name}]`);
  if (block.dataset.status !== video.status || part("message").textContent !== video.message) {
    announce(`${block.dataset.title}: ${video.status_label}. ${video.message}`);
  }
  write(part("status"), video.status_label);
  write(part("message"), video.message);
  part("bar").hidden = !video.active;
  part("bar").querySelector("progress").value = video.percent;
  write(part("percent"), `${video.percent} %`);
  write(part("details"), detailsOf(video));
  if (!isList) document.title = `${video.active ? `${video.percent} %` : video.status_label} · ${pageTitle}`;
  return block.dataset.status !== video.status || block.dataset.watchable !== video.watchable || "active" in block.dataset !== video.active;
}

/** Return the blocks of a video's page that must stay as they are, after telling the player what has become of its video. */
function kept(block, video) {
  const { watchable } = block.dataset;
  if (watchable === video.watchable) return ["player"];
  if (isList || !isWatching()) return [];
  if (isGrowing(watchable) && video.watchable && !isGrowing(video.watchable) && watchable.includes(video.watchable)) {
    // Its job has published. The player continues: what it plays has the same URL as before.
    document.dispatchEvent(new CustomEvent("batchreel:published", { detail: video.chapters }));
  } else {
    if (isGrowing(watchable)) stopPlayer(video.message);
    if (video.watchable) offerNewVersion(() => refresh([block.dataset.video]));
  }
  return ["player"];
}

async function show(blocks, videos) {
  const changed = [];
  for (const block of blocks) {
    const video = videos[block.dataset.video];
    if (video === undefined) continue;
    if (video === null) {
      const inUse = !isList && isWatching();
      if (inUse && isGrowing(block.dataset.watchable)) stopPlayer(gettext("The video was deleted."));
      showGone(block, inUse ? ["player"] : []);
    } else if (update(block, video)) {
      changed.push([block, video]);
    }
  }
  if (!changed.length) return;
  const except = isList ? [] : kept(...changed[0]);
  await refresh(changed.map(([block]) => block.dataset.video), except);
}

/** Request the progress of the videos that may change or, after Back, of all that are shown. */
async function poll() {
  clearTimeout(timer);
  if (isPolling) return;
  const wasStale = isStale;
  const blocks = (wasStale ? all() : all().filter(isChanging)).slice(0, MAX_VIDEOS);
  if (!blocks.length) return;
  // A hidden list may wait; the tab of a video shows its progress.
  if (!document.hidden || !isList) {
    isPolling = true;
    try {
      const query = new URLSearchParams(blocks.map((block) => ["video", block.dataset.video]));
      const response = await request(`${container.dataset.progressUrl}?${query}`, "application/json");
      if (!response.ok) throw new TypeError(`status ${response.status}`);
      const { videos } = await response.json();
      if (hideSignedOut()) await renewTokens();
      if (wasStale) isStale = false;
      await show(blocks, videos);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (error instanceof SignedOutError) showSignedOut();
    } finally {
      isPolling = false;
    }
  }
  const pauseMs = document.hidden ? MAX_INTERVAL_MS : Math.min(MAX_INTERVAL_MS, INTERVAL_MS * 2 ** failures);
  timer = setTimeout(poll, pauseMs);
}

if (container) {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) poll();
  });
  // A card or a block with a video that changes.
  document.addEventListener("batchreel:inserted", poll);
  // Back has brought the page from the browser's memory: anything may have changed since.
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    isStale = true;
    poll();
  });
  poll();
}
