// Errors of uploads, and what is tried again: a server or a network that is gone for minutes ends no upload.

const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30000;
const GIVE_UP_AFTER_MS = 30 * 60 * 1000;

/** An upload cannot succeed as it is. `messages` are for people; `status` and `code` are those of the response, if there was one. */
export class UploadError extends Error {
  constructor(messages, { status, code } = {}) {
    super(messages.join(" "));
    Object.assign(this, { messages, status, code });
  }
}

/** Wait for `ms`, or until the browser is online again. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const listeners = new AbortController();
    const end = (settle, value) => {
      clearTimeout(timer);
      listeners.abort();
      settle(value);
    };
    const timer = setTimeout(() => end(resolve), ms);
    addEventListener("online", () => end(resolve), { signal: listeners.signal });
    signal.addEventListener("abort", () => end(reject, signal.reason), { signal: listeners.signal });
    if (signal.aborted) end(reject, signal.reason);
  });
}

/**
 * Retry `call` with exponential backoff until it succeeds. Only a TypeError, which is a lost connection, is retried.
 *
 * Throws UploadError with the text `gaveUp` after half an hour of pauses in which `doneBytes()` did not change.
 */
export async function withRetries(call, { doneBytes, gaveUp, onPause, signal }) {
  let waitedMs = 0;
  let bytes = doneBytes();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      if (doneBytes() !== bytes) [waitedMs, bytes] = [0, doneBytes()];
      if (waitedMs > GIVE_UP_AFTER_MS) throw new UploadError([gaveUp]);
      onPause();
      const sinceMs = Date.now();
      await pause(pauseMs, signal);
      // Not longer than the pause: a computer that sleeps has not lost its connection.
      waitedMs += Math.min(pauseMs, Date.now() - sinceMs);
    }
  }
}
