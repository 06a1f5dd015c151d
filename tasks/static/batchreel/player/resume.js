// Playback continues where it was left: by what this browser remembers or, for signed-in people on sites that keep it, their account.

import { clock } from "./clock.js";
import { element } from "./controls.js";
import { keepPosition, positionOf } from "./memory.js";

const { gettext, interpolate } = window.django;

const MIN_S = 10;
const MAX_PART = 0.98;
const MIN_INTERVAL_MS = 10000;

/** Return whether a position is neither in the first seconds nor, if the whole length is known, at the end. */
function isWorthKeeping(positionS, durationS) {
  return positionS >= MIN_S && !(positionS > MAX_PART * durationS);
}

/** Return the position in s at which to start. */
export function startOf({ video, isGrowing }) {
  const { position, positionUrl, duration } = video.dataset;
  const positionS = positionUrl ? Number(position) || 0 : positionOf(video.dataset.video);
  const durationS = Number(duration) || NaN;
  if (isGrowing) return isWorthKeeping(positionS, NaN) && positionS < durationS ? positionS : 0;
  return isWorthKeeping(positionS, durationS) ? positionS : 0;
}

/** Keep the position from now on: every ten seconds, when playback pauses, and when the page is left. */
export function keepPositions(player) {
  const { video, signal } = player;
  const { positionUrl, csrf } = video.dataset;
  let keptS = player.startS;
  let keptAtMs = -Infinity;

  function keep() {
    const positionS = video.currentTime;
    if (!video.played.length || Math.abs(positionS - keptS) < 1) return;
    [keptS, keptAtMs] = [positionS, performance.now()];
    if (positionUrl) {
      const body = new FormData();
      body.set("position_s", positionS.toFixed(1));
      body.set("csrfmiddlewaretoken", csrf);
      // Unlike a request, it survives the page.
      navigator.sendBeacon(positionUrl, body);
    } else {
      keepPosition(video.dataset.video, isWorthKeeping(positionS, player.isGrowing ? NaN : video.duration) ? positionS : 0);
    }
  }

  video.addEventListener("timeupdate", () => {
    if (!video.paused && performance.now() - keptAtMs >= MIN_INTERVAL_MS) keep();
  }, { signal });
  for (const event of ["pause", "ended"]) video.addEventListener(event, keep, { signal });
  addEventListener("pagehide", keep, { signal });
  document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); }, { signal });
}

/** Offer to continue or to start over, until something is played or another place is sought. */
export function offerToContinue({ video, controls, startS, signal }) {
  if (!startS || !controls) return;
  const go = element("button", { type: "button", class: "go" }, interpolate(gettext("Continue at %(time)s"), { time: clock(startS) }, true));
  const over = element("button", { type: "button" }, gettext("From the beginning"));
  const panel = element("div", { slot: "centered-chrome", class: "resume", noautohide: true, role: "group", "aria-label": gettext("Where to start") }, go, over);
  go.addEventListener("click", () => video.play().catch(() => {}));
  over.addEventListener("click", () => {
    video.currentTime = 0;
    video.play().catch(() => {});
  });
  // Keys that press a button are none of the player's.
  panel.addEventListener("keydown", (event) => { if ([" ", "Enter"].includes(event.key)) event.stopPropagation(); });
  controls.append(panel);
  const end = () => {
    const hadFocus = panel.contains(document.activeElement);
    panel.remove();
    if (hadFocus) controls.querySelector("media-control-bar media-play-button").focus();
  };
  video.addEventListener("playing", end, { once: true, signal });
  video.addEventListener("seeking", () => { if (Math.abs(video.currentTime - startS) > 1) end(); }, { signal });
}
