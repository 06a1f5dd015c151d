// How fast an upload is, and how much time it still needs: by what was sent in the last seconds. And sizes and times as people read them.

const { gettext, ngettext, interpolate } = globalThis.django;
const WINDOW_MS = 10000;
const LEAST_MS = 2000;

export class Pace {
  #samples = [];

  add(bytes, atMs = performance.now()) {
    if (this.#samples.length && bytes < this.#samples.at(-1).bytes) this.#samples = []; // it has started again
    this.#samples.push({ bytes, atMs });
    while (this.#samples.length > 2 && atMs - this.#samples[1].atMs > WINDOW_MS) this.#samples.shift();
  }

  /** Bytes per second; null while too little is known. */
  get bytesPerS() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const ms = first ? last.atMs - first.atMs : 0;
    return ms < LEAST_MS || last.bytes === first.bytes ? null : (1000 * (last.bytes - first.bytes)) / ms;
  }

  /** Seconds that are left of `totalBytes`; null while too little is known. */
  remainingS(totalBytes) {
    const rate = this.bytesPerS;
    return rate === null ? null : (totalBytes - this.#samples.at(-1).bytes) / rate;
  }
}

function decimal(number, digits) {
  const { lang } = document.documentElement;
  return number.toLocaleString(lang || "en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function sizeOf(bytes) {
  const mebibytes = bytes / 1048576;
  return mebibytes < 1024 ? `${decimal(mebibytes, mebibytes < 100 ? 1 : 0)} MiB` : `${decimal(mebibytes / 1024, 2)} GiB`;
}

export function timeLeft(seconds) {
  if (seconds < 60) {
    const rounded = Math.max(5, 5 * Math.round(seconds / 5));
    return interpolate(ngettext("about %(seconds)s second left", "about %(seconds)s seconds left", rounded), { seconds: rounded }, true);
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return interpolate(ngettext("about %(minutes)s minute left", "about %(minutes)s minutes left", minutes), { minutes }, true);
  return interpolate(gettext("about %(hours)s hours left"), { hours: decimal(seconds / 3600, 1) }, true);
}
