// Uploads a file in parts directly to the bucket, bypassing the site. Uploaded parts are kept: the upload resumes after a lost
// connection, or after the browser was closed, once the same file is chosen again. Only a few parts are in flight at a time, and
// none is held in memory.

import { UploadError, withRetries } from "./retries.js";
import { forget, hold, recall, remember } from "./unfinished.js";

const { gettext, interpolate } = globalThis.django;

const PARALLEL_PARTS = 3;
const URLS_PER_REQUEST = 20;
const SIGNED_OUT_STATUS = 403;
const TRANSIENT_STATUSES = new Set([408, 429]);
const REJECTED_STATUSES = new Set([400, 403, 404, 405, 411, 413]);
// S3 also responds with 400 (RequestTimeout) if the browser stalls in the middle of a part, so only repeated 400s count as a
// rejection.
const STALL_STATUS = 400;
const MAX_STALLS = 5;

/** Send a request to the site: {status, data}. Throws TypeError for a lost connection, UploadError if a retry will not help. */
async function send(method, url, { csrf, body, signal }) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrf, "Content-Type": "application/json" };
  const response = await fetch(url, { method, headers, signal, body: body && JSON.stringify(body) });
  const data = response.status === 204 ? {} : await response.json().catch(() => null);
  const lacksParts = response.status === 409 && data?.missing;
  if (data !== null && (response.ok || lacksParts)) return { status: response.status, data };
  // The response of a gateway or of a network's login page: equivalent to no connection. A conflict is one with an
  // earlier request of this upload, whose response was lost: repeating it gives that response.
  const isConflict = response.status === 409 && (data === null || data.code === "CONFLICT");
  // 429 of the site itself, with its reason, is a quota; without one it is a proxy's limit.
  const isProxyLimit = TRANSIENT_STATUSES.has(response.status) && !data?.errors;
  if (response.status >= 500 || response.ok || isConflict || isProxyLimit) throw new TypeError(`status ${response.status}`);
  throw new UploadError(data?.errors || [
    interpolate(gettext("The server responded with status %(status)s. Try again."), { status: response.status }, true),
  ], { status: response.status, code: data?.code });
}

/** PUT one part. Resolves to the HTTP status, or 0 if the connection is lost. */
function put(url, blob, { signal, onBytes }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("PUT", url);
    request.upload.addEventListener("progress", (event) => onBytes(event.loaded));
    request.addEventListener("load", () => resolve(request.status));
    request.addEventListener("error", () => resolve(0));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort);
    request.send(blob);
  });
}

class PartsUpload {
  constructor({ file, id, title, beginUrl, owner, csrf, signal, onProgress, onError }) {
    Object.assign(this, { file, id, title, beginUrl, owner, csrf, signal, onProgress, onError });
    this.urls = new Map();
    this.inFlight = new Map();
    this.doneBytes = 0;
    this.stalls = 0;
  }

  withRetries(call) {
    return withRetries(call, {
      doneBytes: () => this.doneBytes,
      gaveUp: gettext("The connection was lost for too long. Choose the same file again to continue where the upload stopped."),
      onPause: () => this.onError(gettext("The connection was lost. The upload will continue automatically.")),
      signal: this.signal,
    });
  }

  sendWithRetries(method, url, body) {
    return this.withRetries(() => send(method, url, { csrf: this.csrf(), body, signal: this.signal }));
  }

  async begin() {
    const knownUrl = recall(this, this.file);
    if (knownUrl) {
      try {
        const { data } = await this.sendWithRetries("GET", knownUrl);
        if (data.size_bytes === this.file.size) return data;
      } catch (error) {
        // Signed out: the uploaded parts are still there.
        if (!(error instanceof UploadError) || error.status === SIGNED_OUT_STATUS) throw error;
        // It was completed or aborted, or belongs to another user: start again.
      }
      forget(this, this.file);
    }
    const { name, size, type } = this.file;
    const { data } = await this.sendWithRetries("POST", this.beginUrl, { id: this.id, title: this.title, name, size_bytes: size, type });
    remember(this, this.file, data.url);
    return data;
  }

  blobOf(number) {
    return this.file.slice((number - 1) * this.partBytes, number * this.partBytes);
  }

  async urlOf(number) {
    if (!this.urls.has(number)) {
      const numbers = [number, ...this.queue.slice(0, URLS_PER_REQUEST - 1)];
      const { data } = await this.sendWithRetries("POST", `${this.url}urls/`, { numbers });
      for (const [each, url] of Object.entries(data.urls)) this.urls.set(Number(each), url);
    }
    return this.urls.get(number);
  }

  async putPart(number) {
    const blob = this.blobOf(number);
    await this.withRetries(async () => {
      const isFresh = !this.urls.has(number);
      const url = await this.urlOf(number);
      const onBytes = (bytes) => {
        this.inFlight.set(number, bytes);
        this.reportProgress();
      };
      const status = await put(url, blob, { signal: this.signal, onBytes });
      this.inFlight.delete(number);
      if (status >= 200 && status < 300) return;
      // An expired URL results in 403: request a new one.
      this.urls.delete(number);
      const isStall = status === STALL_STATUS && (this.stalls += 1) < MAX_STALLS;
      if (isFresh && REJECTED_STATUSES.has(status) && !isStall) {
        const text = gettext("The storage rejected the file (status %(status)s). Please contact the people who run this site.");
        throw new UploadError([interpolate(text, { status }, true)]);
      }
      throw new TypeError(`part ${number}: status ${status}`);
    });
    this.stalls = 0;
    this.doneBytes += blob.size;
    this.reportProgress();
  }

  reportProgress() {
    const inFlightBytes = [...this.inFlight.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.onProgress(Math.min(this.file.size, this.doneBytes + inFlightBytes), this.file.size);
  }

  async putAll(numbers) {
    this.queue = [...numbers];
    this.doneBytes = this.file.size - numbers.reduce((sum, number) => sum + this.blobOf(number).size, 0);
    this.reportProgress();
    const putNext = async () => {
      try {
        for (let number = this.queue.shift(); number !== undefined; number = this.queue.shift()) await this.putPart(number);
      } catch (error) {
        this.queue.length = 0; // stops the other loops too
        throw error;
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_PARTS }, putNext));
  }

  async run() {
    const upload = await this.begin();
    this.url = upload.url;
    this.partBytes = upload.part_bytes;
    for (let { missing } = upload; ; ) {
      await this.putAll(missing);
      const { status, data } = await this.complete();
      if (status !== 409) {
        forget(this, this.file);
        return { url: data.url, video: upload.video };
      }
      ({ missing } = data);
    }
  }

  async complete() {
    try {
      return await this.sendWithRetries("POST", `${this.url}complete/`, {});
    } catch (error) {
      // The uploaded parts are lost: choosing the same file again starts from the beginning.
      if (error instanceof UploadError && error.status !== SIGNED_OUT_STATUS) forget(this, this.file);
      throw error;
    }
  }

  async abortUpload() {
    const knownUrl = this.url || recall(this, this.file);
    forget(this, this.file);
    if (knownUrl) await send("DELETE", knownUrl, { csrf: this.csrf() }).catch(() => {});
  }
}

/** Upload a file. Resolves to the video's id and the URL of its page. Aborting the signal aborts the upload. */
export async function uploadInParts(options) {
  const upload = new PartsUpload(options);
  try {
    return await hold(options, options.file, () => upload.run());
  } catch (error) {
    if (options.signal.aborted) await upload.abortUpload();
    throw error;
  }
}
