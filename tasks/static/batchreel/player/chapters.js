// The chapters under the player: a click or Enter seeks, and the current one is marked. For the seek bar and other scripts they are
// also a text track of the player.

import { clock } from "./clock.js";

const { gettext } = window.django;
// A position that was set to the start of a chapter may be read back slightly before it.
const TOLERANCE_S = 0.01;

function listItem({ start_s: startS, end_s: endS, title }) {
  const time = Object.assign(document.createElement("span"), { className: "clock", textContent: clock(startS) });
  const name = Object.assign(document.createElement("bdi"), { textContent: title });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  Object.assign(button.dataset, { start: startS, end: endS });
  button.append(time, " ", name);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

/** Show the chapters that the page has. Return a function that shows those of a video that is published meanwhile. */
export function showChapters({ root, video, signal }) {
  const section = root.querySelector(".chapters");
  const list = section?.querySelector("ol");
  if (!list) return () => {};

  // Not `default`: Chromium would show the titles as captions, and switch on the captions that hls.js adds later.
  function addTrack() {
    const track = Object.assign(document.createElement("track"), { kind: "chapters", label: gettext("Chapters"), src: section.dataset.track });
    // media-chrome reads the cues when the list of tracks changes, and listens for their arrival in default tracks only.
    track.addEventListener("load", () => video.textTracks.dispatchEvent(new Event("change")), { signal });
    video.append(track);
    track.track.mode = "hidden";
  }

  function markCurrent() {
    const nowS = video.currentTime + TOLERANCE_S;
    const buttons = [...list.querySelectorAll("button")];
    const newest = buttons.findLast((button) => Number(button.dataset.start) <= nowS);
    // There may be time between chapters, and the last one is over when the video is.
    const current = newest && (nowS < Number(newest.dataset.end) || video.ended) ? newest : null;
    for (const button of buttons) {
      if (button === current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  function seek(seconds) {
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) video.currentTime = seconds;
    else video.addEventListener("loadedmetadata", () => { video.currentTime = seconds; }, { once: true, signal });
  }

  function show() {
    if (!list.children.length) return;
    section.hidden = false;
    addTrack();
    markCurrent();
  }

  list.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) seek(Number(button.dataset.start));
  }, { signal });
  for (const event of ["timeupdate", "seeking"]) video.addEventListener(event, markCurrent, { signal });
  show();
  return (chapters) => {
    list.replaceChildren(...chapters.map(listItem));
    show();
  };
}
