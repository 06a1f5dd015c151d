// Uploads with a progress bar: in parts directly to the bucket if the form has a URL for that, or else as a form submission, which
// also works without this script.
import { UploadError, uploadInParts } from "./upload-parts.js";

const { gettext, interpolate } = globalThis.django;
const { lang } = document.documentElement;
const form = document.getElementById("upload");
const errors = document.getElementById("upload-errors");
const bar = document.getElementById("upload-bar");
const meter = bar.querySelector("progress");
const percent = document.getElementById("upload-percent");
const statusLine = document.getElementById("upload-status");
const cancel = document.getElementById("upload-cancel");
const submit = form.querySelector("[type=submit]");
let abort = null;

function decimal(number, digits) {
  return number.toLocaleString(lang || "en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function size(bytes) {
  const mebibytes = bytes / 1048576;
  return mebibytes < 1024 ? `${decimal(mebibytes, mebibytes < 100 ? 1 : 0)} MiB` : `${decimal(mebibytes / 1024, 2)} GiB`;
}

function showErrors(messages) {
  errors.replaceChildren(...messages.map((message) => Object.assign(document.createElement("li"), { textContent: message })));
  errors.hidden = messages.length === 0;
}

function showProgress(loaded, total) {
  const percentDone = Math.floor((100 * loaded) / total);
  meter.value = percentDone;
  percent.textContent = `${percentDone} %`;
  statusLine.textContent = percentDone === 100
    ? gettext("The server is storing the file.")
    : interpolate(gettext("%(loaded)s of %(total)s"), { loaded: size(loaded), total: size(total) }, true);
}

function warnBeforeLeaving(event) {
  event.preventDefault();
}

function setBusy(busy) {
  submit.disabled = busy;
  bar.hidden = cancel.hidden = !busy;
  (busy ? addEventListener : removeEventListener)("beforeunload", warnBeforeLeaving);
}

/** Submit the form with its file. Resolves to the URL of the video's page. */
function uploadAsForm(signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => event.lengthComputable && showProgress(event.loaded, event.total));
    request.addEventListener("load", () => {
      let data = null;
      try {
        data = JSON.parse(request.responseText);
      } catch {
        // Not a response of this app: a proxy's page or a server error.
      }
      if (request.status === 201 && data) resolve(data.url);
      else if (data && data.errors) reject(new UploadError(data.errors));
      else if (request.status === 413) reject(new UploadError([gettext("The file is too large for this server.")]));
      else reject(new UploadError([interpolate(gettext("The server could not accept the file (status %(status)s). Try again."), { status: request.status }, true)]));
    });
    request.addEventListener("error", () => reject(new UploadError([gettext("The connection was lost. Try again.")])));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort());
    request.send(new FormData(form));
  });
}

function upload(signal) {
  const [file] = form.elements.source.files;
  const beginUrl = form.dataset.directUrl;
  if (!beginUrl || !file) return uploadAsForm(signal);
  return uploadInParts({
    file,
    title: form.elements.title.value,
    beginUrl,
    csrf: form.elements.csrfmiddlewaretoken.value,
    signal,
    onProgress: showProgress,
    onError: (message) => {
      statusLine.textContent = message;
    },
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showErrors([]);
  showProgress(0, 1);
  statusLine.textContent = "";
  setBusy(true);
  abort = new AbortController();
  try {
    const url = await upload(abort.signal);
    removeEventListener("beforeunload", warnBeforeLeaving);
    location.assign(url);
  } catch (error) {
    setBusy(false);
    if (abort.signal.aborted) showErrors([gettext("The upload was cancelled.")]);
    else if (error instanceof UploadError) showErrors(error.messages);
    else showErrors([interpolate(gettext("The upload failed: %(error)s. Try again."), { error: error.message }, true)]);
  }
});

cancel.addEventListener("click", () => abort && abort.abort());
