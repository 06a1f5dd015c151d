// The chapters under the player: a click or Enter seeks, and the current one is marked. For the browser's own menus and for other
// scripts they are also a text track of the player.
"use strict";

function startChapters() {
  const { gettext } = window.django;
  // A position that was set to the start of a chapter may be read back slightly before it.
  const TOLERANCE_S = 0.01;
  const video = document.getElementById("player");
  const section = document.getElementById("chapters");
  if (!video || !section || "started" in section.dataset) return;
  section.dataset.started = "";
  const list = section.querySelector("ol");

  function clock(seconds) {
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  }

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

  // Not `default`: Chromium would show the titles as captions, and switch on the captions that hls.js adds later.
  function addTrack() {
    const track = Object.assign(document.createElement("track"), { kind: "chapters", label: gettext("Chapters"), src: section.dataset.track });
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
    else video.addEventListener("loadedmetadata", () => { video.currentTime = seconds; }, { once: true });
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
  });
  for (const event of ["timeupdate", "seeking"]) video.addEventListener(event, markCurrent);
  // The video was published while it was watched.
  document.addEventListener("batchreel:published", ({ detail }) => {
    list.replaceChildren(...detail.map(listItem));
    show();
  });
  show();
}

startChapters();
document.addEventListener("batchreel:inserted", startChapters);
