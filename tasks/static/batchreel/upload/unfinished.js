// What this browser remembers of uploads in parts that are not finished: their address, by owner, place and file. The place is the
// address at which they begin: that of new videos, or of a video that gets another file.

const { gettext, interpolate } = globalThis.django;
const PREFIX = "batchreel upload ";

// Identifies the same file of the same person, as far as a browser can.
const keyOf = ({ owner, beginUrl }, file) => PREFIX + JSON.stringify([owner, beginUrl, file.name, file.size, file.lastModified]);

export function remember(place, file, url) {
  localStorage.setItem(keyOf(place, file), url);
}

export function recall(place, file) {
  return localStorage.getItem(keyOf(place, file));
}

export function forget(place, file) {
  localStorage.removeItem(keyOf(place, file));
}

/** Run an upload so that other tabs of this browser can find out that it is in progress. */
export function hold(place, file, run) {
  // Browsers have locks only on pages with HTTPS, or of this computer.
  return navigator.locks ? navigator.locks.request(keyOf(place, file), { ifAvailable: true }, run) : run();
}

async function isHeld(place, file) {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return held.some((lock) => lock.name === keyOf(place, file));
}

function remembered({ owner, beginUrl }) {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX)).flatMap((key) => {
    try {
      const [by, at, name, size, lastModified] = JSON.parse(key.slice(PREFIX.length));
      return by === owner && at === beginUrl ? [{ name, size, lastModified, url: localStorage.getItem(key) }] : [];
    } catch {
      return [];
    }
  });
}

/** Return how much of an upload the bucket has, in percent; null if the upload has ended; undefined if nobody can know now. */
async function percentOf(place, file) {
  const response = await fetch(file.url, { headers: { Accept: "application/json" } }).catch(() => null);
  if (response?.status === 404) {
    forget(place, file);
    return null;
  }
  if (!response?.ok) return undefined;
  const { missing, part_bytes: partBytes, size_bytes: sizeBytes } = await response.json();
  return Math.floor((100 * Math.max(0, sizeBytes - missing.length * partBytes)) / sizeBytes);
}

function rowOf(file, percent, discard) {
  const row = document.createElement("li");
  const number = Object.assign(document.createElement("strong"), { textContent: `${percent} %` });
  const text = interpolate(gettext("of “%(name)s” was uploaded. Choose the file again to continue."), { name: file.name }, true);
  const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: gettext("Discard") });
  button.setAttribute("aria-label", interpolate(gettext("Discard the upload of %(name)s"), { name: file.name }, true));
  button.addEventListener("click", () => discard(row, button));
  row.dataset.name = file.name;
  row.append(number, ` ${text} `, button);
  return row;
}

/** Offer to continue the uploads that a closed page or a lost connection has left, in `list`. */
export async function offerUnfinished(list, { csrf, ...place }) {
  for (const file of remembered(place)) {
    const percent = (await isHeld(place, file)) ? null : await percentOf(place, file);
    if (typeof percent !== "number") continue;
    list.append(rowOf(file, percent, async (row, button) => {
      button.disabled = true;
      const response = await fetch(file.url, { method: "DELETE", headers: { "X-CSRFToken": csrf() } }).catch(() => null);
      button.disabled = false;
      if (!response || (!response.ok && response.status !== 404)) return;
      forget(place, file);
      row.remove();
      list.hidden = !list.children.length;
    }));
    list.hidden = false;
  }
  return list.children.length;
}
