// A deployment or an overloaded storage makes the server unavailable for minutes. Meanwhile `resume` is called after growing pauses;
// the player keeps its position.

const { gettext } = window.django;

const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 10000;
const GIVE_UP_AFTER_MS = 30 * 60 * 1000;
export const FAILED = gettext("The video could not be loaded. Reload the page to try again.");
const INTERRUPTED = gettext("The server cannot be reached. Playback will continue here as soon as it can.");

/** Return {interrupted, over}. `player` shows the messages. */
export function outageHandler(player, resume) {
  let sinceMs = null;
  let pauseMs = FIRST_PAUSE_MS;
  let timer = 0;
  player.signal.addEventListener("abort", () => clearTimeout(timer));
  return {
    interrupted() {
      clearTimeout(timer);
      if (player.signal.aborted) return;
      sinceMs ??= performance.now();
      if (performance.now() - sinceMs > GIVE_UP_AFTER_MS) return player.showMessage(FAILED);
      player.showMessage(INTERRUPTED, "info");
      timer = setTimeout(resume, pauseMs);
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    },
    over() {
      if (sinceMs === null) return;
      clearTimeout(timer);
      sinceMs = null;
      pauseMs = FIRST_PAUSE_MS;
      player.hideMessage();
    },
  };
}
