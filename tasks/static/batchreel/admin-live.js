"use strict";
// Parts of the admin that show an active job: the server renders each again, and it takes the place of the old one.
// Without this script, they are as they were when the page was loaded.

for (const part of document.querySelectorAll("[data-live-url]")) keepCurrent(part);

function keepCurrent(part) {
  const everyMs = 1000 * Number(part.dataset.liveS);
  const update = async () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", update, { once: true });
      return;
    }
    let isOver = everyMs === 0;
    try {
      const response = await fetch(part.dataset.liveUrl, { cache: "no-store" });
      // Signed out, or no longer allowed: the page stays as it is.
      if (response.redirected || [403, 404].includes(response.status)) return;
      if (response.ok) {
        show(part, await response.text());
        isOver ||= response.headers.get("Batchreel-Live") === "over";
      }
    } catch {
      // The next one may succeed.
    }
    if (!isOver) setTimeout(update, everyMs);
  };
  if ("liveNow" in part.dataset) update();
  else setTimeout(update, everyMs);
}

const shown = new WeakMap();

// Replace the part if it has changed. What people opened, scrolled and focused stays as they left it.
function show(part, html) {
  if (shown.get(part) === html) return;
  shown.set(part, html);
  const before = places(part);
  part.innerHTML = html;
  part.querySelectorAll("details").forEach((each, number) => { each.open = before.open[number] ?? false; });
  part.querySelectorAll("[tabindex]").forEach((each, number) => {
    const place = before.scrolled[number];
    each.scrollLeft = place?.left ?? 0;
    // A log stays at its end, unless someone reads further up.
    each.scrollTop = place && !place.atEnd ? place.top : each.scrollHeight;
  });
  before.focused >= 0 && part.querySelectorAll("[tabindex], summary, a")[before.focused]?.focus({ preventScroll: true });
}

function places(part) {
  return {
    open: [...part.querySelectorAll("details")].map((each) => each.open),
    scrolled: [...part.querySelectorAll("[tabindex]")].map((each) => ({
      left: each.scrollLeft,
      top: each.scrollTop,
      atEnd: each.scrollTop + each.clientHeight >= each.scrollHeight - 4,
    })),
    focused: [...part.querySelectorAll("[tabindex], summary, a")].indexOf(document.activeElement),
  };
}
