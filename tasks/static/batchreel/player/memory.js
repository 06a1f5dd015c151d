// What this browser remembers: choices for all videos, and how far each one was watched. Frames of other sites and private windows
// may have no storage; then it lasts as long as the page.

const CHOICES = "batchreel player";
const POSITIONS = "batchreel positions";
const MAX_POSITIONS = 100;
const onPage = new Map();

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return onPage.get(key) ?? {};
  }
}

function write(key, value) {
  onPage.set(key, value);
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // No storage, or a full one.
  }
}

/** Return what was chosen last: `rate`, `quality` (shorter side in px), `captions` and `audio` (languages), `textSize`. */
export function choices() {
  return read(CHOICES);
}

export function remember(choice) {
  write(CHOICES, { ...read(CHOICES), ...choice });
}

/** Return the position in s at which the video was left; 0 if there is none. */
export function positionOf(video) {
  return Number(read(POSITIONS)[video]?.[0]) || 0;
}

/** Keep the position of a video; 0 forgets it. The videos watched last are kept. */
export function keepPosition(video, positionS) {
  const { [video]: _, ...others } = read(POSITIONS);
  const newest = Object.entries(others).sort(([, a], [, b]) => b[1] - a[1]).slice(0, MAX_POSITIONS - 1);
  if (positionS) newest.push([video, [Math.round(positionS * 10) / 10, Date.now()]]);
  write(POSITIONS, Object.fromEntries(newest));
}
