// Uploads a file to the bucket in parts, past the site. What has arrived stays: it goes on after a lost connection, and after the
// browser was closed, once the same file is chosen again. Never more than a few parts are under way, and none is held in memory.

const AT_ONCE = 3;
const URLS_AT_ONCE = 20;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30000;
const GIVE_UP_AFTER_MS = 30 * 60 * 1000;
const REFUSALS = new Set([400, 403, 404, 405, 411, 413]);
// S3 answers 400 (RequestTimeout) also to a browser that stood still in the middle of a part; so it counts as a no only after a few.
const STANDSTILL = 400;
const MOST_STANDSTILLS = 5;

export class UploadError extends Error {
  constructor(sentences) {
    super(sentences.join(" "));
    this.sentences = sentences;
  }
}

/** Ask the site: {status, answer}. Throws a TypeError where the connection is lost, UploadError for what a repetition won't mend. */
async function ask(method, url, { csrf, body, signal }) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrf, "Content-Type": "application/json" };
  const response = await fetch(url, { method, headers, signal, body: body && JSON.stringify(body) });
  const answer = response.status === 204 ? {} : await response.json().catch(() => null);
  const understood = answer !== null && (response.ok || response.status === 409);
  if (understood) return { status: response.status, answer };
  // A gateway that answers in place of the site, or a page of somebody's network: as good as no connection.
  if (response.status >= 500 || response.ok || response.status === 409) throw new TypeError(`status ${response.status}`);
  throw new UploadError(answer?.errors || [answer?.error || `The site answered with status ${response.status}.`]);
}

/** PUT one part. Resolves to its HTTP status, 0 for a lost connection. */
function put(url, blob, { signal, onBytes }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("PUT", url);
    request.upload.addEventListener("progress", (step) => onBytes(step.loaded));
    request.addEventListener("load", () => resolve(request.status));
    request.addEventListener("error", () => resolve(0));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort);
    request.send(blob);
  });
}

/** Wait so long, or until the browser is online again. */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    addEventListener("online", resolve, { once: true });
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

class PartsUpload {
  constructor({ file, title, beginUrl, csrf, signal, onProgress, onError }) {
    Object.assign(this, { file, title, beginUrl, csrf, signal, onProgress, onError });
    // The same file of the same person's, as far as a browser can tell.
    this.memory = `batchreel upload ${beginUrl} ${file.name} ${file.size} ${file.lastModified}`;
    this.urls = new Map();
    this.underWay = new Map();
    this.doneBytes = 0;
    this.id = globalThis.crypto.randomUUID?.();
    this.lastArrival = Date.now();
    this.standstills = 0;
  }

  /** Call until it works, with growing pauses. Gives up where nothing arrived for half an hour. */
  async patiently(call) {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        if (Date.now() - this.lastArrival > GIVE_UP_AFTER_MS) {
          throw new UploadError(["The connection was lost for too long. Choose the same file again to go on where it stopped."]);
        }
        this.onError("The connection was lost. The upload goes on by itself.");
        await pause(pauseMs, this.signal);
      }
    }
  }

  askSite(method, url, body) {
    return this.patiently(() => ask(method, url, { csrf: this.csrf, body, signal: this.signal }));
  }

  async begin() {
    const known = localStorage.getItem(this.memory);
    if (known) {
      try {
        const { answer } = await this.askSite("GET", known);
        if (answer.size_bytes === this.file.size) return answer;
      } catch (error) {
        if (!(error instanceof UploadError)) throw error;
        // It was completed, given up, or is somebody else's: begin anew.
      }
      localStorage.removeItem(this.memory);
    }
    const { name, size, type } = this.file;
    const { answer } = await this.askSite("POST", this.beginUrl, { id: this.id, title: this.title, name, size_bytes: size, type });
    localStorage.setItem(this.memory, answer.url);
    return answer;
  }

  blobOf(number) {
    return this.file.slice((number - 1) * this.partBytes, number * this.partBytes);
  }

  async urlOf(number) {
    if (!this.urls.has(number)) {
      const numbers = [number, ...this.queue.slice(0, URLS_AT_ONCE - 1)];
      const { answer } = await this.askSite("POST", `${this.url}urls/`, { numbers });
      for (const [each, url] of Object.entries(answer.urls)) this.urls.set(Number(each), url);
    }
    return this.urls.get(number);
  }

  async putPart(number) {
    const blob = this.blobOf(number);
    await this.patiently(async () => {
      const isFresh = !this.urls.has(number);
      const url = await this.urlOf(number);
      const onBytes = (bytes) => {
        this.underWay.set(number, bytes);
        this.tell();
      };
      const status = await put(url, blob, { signal: this.signal, onBytes });
      this.underWay.delete(number);
      if (status >= 200 && status < 300) return;
      // An address that has run out answers 403: ask for a new one.
      this.urls.delete(number);
      const stoodStill = status === STANDSTILL && (this.standstills += 1) < MOST_STANDSTILLS;
      if (isFresh && REFUSALS.has(status) && !stoodStill) {
        throw new UploadError([`The storage refuses the file (status ${status}). Please tell the people who run this site.`]);
      }
      throw new TypeError(`part ${number}: status ${status}`);
    });
    this.lastArrival = Date.now();
    this.standstills = 0;
    this.doneBytes += blob.size;
    this.tell();
  }

  tell() {
    const underWay = [...this.underWay.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.onProgress(Math.min(this.file.size, this.doneBytes + underWay), this.file.size);
  }

  async putAll(numbers) {
    this.queue = [...numbers];
    this.doneBytes = this.file.size - numbers.reduce((sum, number) => sum + this.blobOf(number).size, 0);
    this.tell();
    const work = async () => {
      try {
        for (let number = this.queue.shift(); number !== undefined; number = this.queue.shift()) await this.putPart(number);
      } catch (error) {
        this.queue.length = 0; // what one of them gives up, the others do not go on with
        throw error;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async run() {
    const upload = await this.begin();
    this.url = upload.url;
    this.partBytes = upload.part_bytes;
    for (let { missing } = upload; ; ) {
      await this.putAll(missing);
      const { status, answer } = await this.complete();
      if (status !== 409) {
        localStorage.removeItem(this.memory);
        return answer.url;
      }
      ({ missing } = answer);
    }
  }

  async complete() {
    try {
      return await this.askSite("POST", `${this.url}complete/`, {});
    } catch (error) {
      // What arrived is lost: the same file, chosen again, begins anew.
      if (error instanceof UploadError) localStorage.removeItem(this.memory);
      throw error;
    }
  }

  async giveUp() {
    const known = this.url || localStorage.getItem(this.memory);
    localStorage.removeItem(this.memory);
    if (known) await ask("DELETE", known, { csrf: this.csrf }).catch(() => {});
  }
}

/** Upload a file; resolves to the address of the video's page. Aborting the signal gives the upload up. */
export async function uploadInParts(options) {
  const upload = new PartsUpload(options);
  try {
    return await upload.run();
  } catch (error) {
    if (options.signal.aborted) await upload.giveUp();
    throw error;
  }
}
