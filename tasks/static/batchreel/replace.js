// Uploads a new file for a video with a progress bar: in parts directly to the bucket if the form has a URL for that, or else as a
// form submission, which also works without this script.
import { uploadInParts } from "./upload/parts.js";
import { UploadError } from "./upload/retries.js";
import { messagesOf } from "./upload/row.js";

const { gettext, interpolate } = globalThis.django;
const form = document.getElementById("replace");
const errors = document.getElementById("replace-errors");
const bar = document.getElementById("replace-bar");
const percent = document.getElementById("replace-percent");
const statusLine = document.getElementById("replace-status");
const cancel = document.getElementById("replace-cancel");
const submit = form.querySelector("[type=submit]");
let abort = null;

function showErrors(messages) {
  errors.replaceChildren(...messages.map((message) => Object.assign(document.createElement("li"), { textContent: message })));
  errors.hidden = messages.length === 0;
}

function showProgress(loaded, total) {
  const percentDone = Math.floor((100 * loaded) / total);
  bar.querySelector("progress").value = percentDone;
  percent.textContent = `${percentDone} %`;
  // A live region: screen readers announce each change.
  if (percentDone === 100) statusLine.textContent = gettext("The server is storing the file.");
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
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && showProgress(event.loaded, event.total));
    request.addEventListener("load", () => {
      const text = gettext("The server could not accept the file (status %(status)s). Try again.");
      if (request.status === 201) resolve(request.response.url);
      else reject(new UploadError(request.response?.errors || [interpolate(text, { status: request.status }, true)]));
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
  const onError = (message) => {
    statusLine.textContent = message;
  };
  const csrf = () => form.elements.csrfmiddlewaretoken.value;
  const { owner } = form.dataset;
  return uploadInParts({ file, title: "", beginUrl, owner, csrf, signal, onProgress: showProgress, onError }).then(({ url }) => url);
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
    showErrors(abort.signal.aborted ? [gettext("The upload was cancelled.")] : messagesOf(error));
    submit.focus();
  }
});

cancel.addEventListener("click", () => abort && abort.abort());
