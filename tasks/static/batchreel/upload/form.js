// Uploads a file as the form does, with its progress. A server that is gone for minutes gets the file again once it responds: the
// id that goes with it keeps the video single if only the response was lost.
import { UploadError, withRetries } from "./retries.js";

const { gettext, interpolate } = globalThis.django;
const UNAVAILABLE_STATUSES = new Set([0, 502, 503, 504]);
const MAX_REPEATS = 3;

/** POST the form's fields. Resolves to status and JSON; 0 is a lost connection. */
function post(url, fields, { signal, onBytes }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onBytes(event.loaded, event.total));
    request.addEventListener("load", () => {
      let data = null;
      try {
        data = JSON.parse(request.responseText);
      } catch {
        // Not a response of this app: a proxy's page or a server error.
      }
      resolve({ status: request.status, data });
    });
    request.addEventListener("error", () => resolve({ status: 0, data: null }));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort);
    request.send(fields);
  });
}

/** Throw TypeError unless the site responds, so that a large file is not sent to a server that cannot take it. */
async function checkServer(url, signal) {
  const response = await fetch(url, { signal, headers: { Accept: "application/json" } });
  if (UNAVAILABLE_STATUSES.has(response.status)) throw new TypeError(`status ${response.status}`);
}

function errorOf({ status, data }) {
  if (data?.errors) return new UploadError(data.errors, { status, code: data.code });
  if (status === 413) return new UploadError([gettext("The file is too large for this server.")], { status });
  if (status === 0) return new UploadError([gettext("The connection was lost. Try again.")]);
  return new UploadError([interpolate(gettext("The server could not accept the file (status %(status)s). Try again."), { status }, true)], { status });
}

/** Upload a file. Resolves to the video's id and the URL of its page. Throws UploadError, or the signal's reason. */
export async function uploadAsForm({ file, id, title, url, checkUrl, csrf, signal, onProgress, onError }) {
  let repeats = 0;
  const sent = async () => {
    if (repeats) await checkServer(checkUrl, signal);
    const fields = new FormData();
    for (const [name, value] of Object.entries({ csrfmiddlewaretoken: csrf(), id, title })) if (value) fields.append(name, value);
    fields.append("source", file);
    const response = await post(url, fields, { signal, onBytes: onProgress });
    if (response.status === 201 && response.data) return response.data;
    if (!UNAVAILABLE_STATUSES.has(response.status) || repeats >= MAX_REPEATS) throw errorOf(response);
    repeats += 1;
    throw new TypeError(`status ${response.status}`);
  };
  return withRetries(sent, {
    doneBytes: () => repeats,
    gaveUp: gettext("The connection was lost. Try again."),
    onPause: () => onError(gettext("The connection was lost. The upload will start again automatically.")),
    signal,
  });
}
