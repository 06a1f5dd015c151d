// Keeps all .progress blocks of the page up to date with a single request.
"use strict";

(() => {
  const { gettext, ngettext, interpolate } = window.django;
  const INTERVAL_MS = 2000;
  const MAX_INTERVAL_MS = 30000;
  const container = document.querySelector("[data-progress-url]");
  if (!container) return;
  let failures = 0;
  let timer = 0;

  const blocks = () => [...document.querySelectorAll(".progress[data-active], .progress[data-status=WAITING], .progress[data-status=UPLOADING]")];

  const isGrowing = (watchable) => watchable.startsWith("growing-");

  function clock(seconds) {
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  }

  function remainingOf(video) {
    const minutes = Math.max(1, Math.round(video.remaining_s / 60));
    if (isGrowing(video.watchable)) return interpolate(gettext("whole in about %(minutes)s min"), { minutes }, true);
    if (video.remaining_s < 90) return gettext("about a minute left");
    return interpolate(ngettext("about %(minutes)s minute left", "about %(minutes)s minutes left", minutes), { minutes }, true);
  }

  function units(done, total) {
    return interpolate(ngettext("%(done)s of %(total)s unit", "%(done)s of %(total)s units", total), { done, total }, true);
  }

  function machines(number) {
    return interpolate(ngettext("%(number)s machine running", "%(number)s machines running", number), { number }, true);
  }

  function detailsOf(video) {
    const parts = [video.stage];
    if (video.units_total) parts.push(units(video.units_done, video.units_total));
    if (video.attempt > 1) parts.push(interpolate(gettext("attempt %(number)s"), { number: video.attempt }, true));
    if (isGrowing(video.watchable)) parts.push(interpolate(gettext("playable up to %(time)s"), { time: clock(video.playable_s) }, true));
    if (video.containers > 1) parts.push(machines(video.containers));
    if (video.remaining_s !== null) parts.push(remainingOf(video));
    return parts.filter(Boolean).join(" · ");
  }

  // Writes only changes, because screen readers announce a live region each time it is written.
  function write(part, text) {
    if (part.textContent !== text) part.textContent = text;
  }

  // The player of a growing video would ask in vain for what is not made any more.
  function stopPlayer(message) {
    document.dispatchEvent(new CustomEvent("batchreel:stopped", { detail: message }));
  }

  // A reload must not interrupt playback.
  function isWatching() {
    const player = document.getElementById("player");
    return player !== null && player.currentTime > 0;
  }

  function show(block, video) {
    const part = (name) => block.querySelector(`[data-part=${name}]`);
    const ended = "active" in block.dataset && !video.active;
    const grew = isGrowing(block.dataset.watchable);
    if (grew && video.watchable && !isGrowing(video.watchable) && block.dataset.watchable.includes(video.watchable)) {
      // Its job has published. The player continues: what it plays has the same URL as before.
      block.dataset.watchable = video.watchable;
      document.getElementById("growing")?.remove();
      document.dispatchEvent(new CustomEvent("batchreel:published", { detail: video.chapters }));
    } else if (ended || video.watchable !== block.dataset.watchable) {
      // The player, the retry button or the history has changed: only a new page from the server shows that.
      if (!isWatching()) return location.reload();
      if (grew) stopPlayer(video.message);
      video.message += ` ${gettext("Reload the page to see what has changed.")}`;
    }
    block.dataset.status = video.status;
    block.toggleAttribute("data-active", video.active);
    const badge = part("status");
    write(badge, video.status_label);
    badge.className = `badge ${video.status.toLowerCase()}`;
    write(part("message"), video.message);
    part("bar").hidden = !video.active;
    part("bar").querySelector("progress").value = video.percent;
    write(part("percent"), `${video.percent} %`);
    write(part("details"), detailsOf(video));
  }

  async function poll() {
    const shown = blocks();
    if (!shown.length) return;
    if (!document.hidden) {
      try {
        const query = new URLSearchParams(shown.map((block) => ["video", block.dataset.video]));
        const response = await fetch(`${container.dataset.progressUrl}?${query}`, { headers: { Accept: "application/json" } });
        if (response.status === 403) return location.reload();
        if (!response.ok) throw new Error(`status ${response.status}`);
        const { videos } = await response.json();
        for (const block of shown) {
          const video = videos[block.dataset.video];
          if (video !== null) {
            show(block, video);
          } else if (isGrowing(block.dataset.watchable) && isWatching()) {
            return stopPlayer(gettext("The video was deleted."));
          } else {
            return location.reload();
          }
        }
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    timer = setTimeout(poll, Math.min(MAX_INTERVAL_MS, INTERVAL_MS * 2 ** failures));
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(timer);
    poll();
  });
  poll();
})();
