// Keeps every .progress block of the page up to date, with one request for all of them.
"use strict";

(() => {
  const INTERVAL_MS = 2000;
  const LONGEST_INTERVAL_MS = 30000;
  const place = document.querySelector("[data-progress-url]");
  if (!place) return;
  let failures = 0;
  let timer = 0;

  const blocks = () => [...document.querySelectorAll(".progress[data-active], .progress[data-status=WAITING], .progress[data-status=UPLOADING]")];

  function wordsOf(told) {
    const parts = [told.stage];
    if (told.units_total) parts.push(`${told.units_done} of ${told.units_total} units`);
    if (told.attempt > 1) parts.push(`attempt ${told.attempt}`);
    if (told.remaining_s !== null) parts.push(told.remaining_s < 90 ? "about a minute left" : `about ${Math.round(told.remaining_s / 60)} minutes left`);
    return parts.filter(Boolean).join(" · ");
  }

  // Writes only what differs: a live region that is written anew is read out anew.
  function write(part, text) {
    if (part.textContent !== text) part.textContent = text;
  }

  // Nobody who is in the middle of a video is thrown out of it.
  function isWatching() {
    const player = document.getElementById("player");
    return player !== null && player.currentTime > 0;
  }

  function show(block, told) {
    const part = (name) => block.querySelector(`[data-part=${name}]`);
    const ended = "active" in block.dataset && !told.active;
    if (ended || told.published_job !== block.dataset.published) {
      // What can be played, retried or seen has changed: only the server knows the new page.
      if (!isWatching()) return location.reload();
      told.message += " Reload the page to see what has changed.";
    }
    block.dataset.status = told.status;
    block.toggleAttribute("data-active", told.active);
    const badge = part("status");
    write(badge, told.status[0] + told.status.slice(1).toLowerCase());
    badge.className = `badge ${told.status.toLowerCase()}`;
    write(part("message"), told.message);
    part("bar").hidden = !told.active;
    part("bar").querySelector("progress").value = told.percent;
    write(part("percent"), `${told.percent} %`);
    write(part("details"), wordsOf(told));
  }

  async function look() {
    const shown = blocks();
    if (!shown.length) return;
    if (!document.hidden) {
      try {
        const query = new URLSearchParams(shown.map((block) => ["video", block.dataset.video]));
        const answer = await fetch(`${place.dataset.progressUrl}?${query}`, { headers: { Accept: "application/json" } });
        if (answer.status === 403) return location.reload();
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const { videos } = await answer.json();
        for (const block of shown) {
          const told = videos[block.dataset.video];
          if (told === null) return location.reload();
          show(block, told);
        }
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    timer = setTimeout(look, Math.min(LONGEST_INTERVAL_MS, INTERVAL_MS * 2 ** failures));
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(timer);
    look();
  });
  look();
})();
