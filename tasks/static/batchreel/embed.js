// Shows an embedded video as soon as it can be watched: the page is requested again, and its block exchanged, never loaded again.
import { exchange, parse } from "./live/exchange.js";

const INTERVAL_MS = 30000;

async function update() {
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    // Deleted, or no longer for this person: what the frame would show is the note for a video that is not there.
    if (response.ok || response.status === 404) exchange(document, parse(await response.text()));
  } catch {
    // The server cannot be reached. The next request may succeed.
  }
  schedule();
}

function schedule() {
  if (document.querySelector("[data-block=embed][data-waits]")) setTimeout(update, INTERVAL_MS);
}

schedule();
