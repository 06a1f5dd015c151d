// Uploads with a progress bar: to the bucket in parts where the form names an address for that, else as the form itself would. Without
// this script the form does the latter by itself.
import { UploadError, uploadInParts } from "./upload-parts.js";

const form = document.getElementById("upload");
const errors = document.getElementById("upload-errors");
const bar = document.getElementById("upload-bar");
const meter = bar.querySelector("progress");
const percent = document.getElementById("upload-percent");
const words = document.getElementById("upload-words");
const cancel = document.getElementById("upload-cancel");
const submit = form.querySelector("[type=submit]");
let abort = null;

function size(bytes) {
  const mebibytes = bytes / 1048576;
  return mebibytes < 1024 ? `${mebibytes.toFixed(mebibytes < 100 ? 1 : 0)} MiB` : `${(mebibytes / 1024).toFixed(2)} GiB`;
}

function showErrors(texts) {
  errors.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  errors.hidden = texts.length === 0;
}

function showProgress(loaded, total) {
  const share = Math.floor((100 * loaded) / total);
  meter.value = share;
  percent.textContent = `${share} %`;
  words.textContent = share === 100 ? "The server is storing the file." : `${size(loaded)} of ${size(total)}`;
}

function leaveWarning(event) {
  event.preventDefault();
}

function setBusy(busy) {
  submit.disabled = busy;
  bar.hidden = cancel.hidden = !busy;
  (busy ? addEventListener : removeEventListener)("beforeunload", leaveWarning);
}

/** Send the form as it is; resolves to the address of the video's page. */
function uploadAsForm(signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (step) => step.lengthComputable && showProgress(step.loaded, step.total));
    request.addEventListener("load", () => {
      let answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // Not ours: a proxy's page, or an error of the server.
      }
      if (request.status === 201 && answer) resolve(answer.url);
      else if (answer && answer.errors) reject(new UploadError(answer.errors));
      else if (request.status === 413) reject(new UploadError(["The file is larger than this server takes."]));
      else reject(new UploadError([`The server could not take the file (status ${request.status}). Try again.`]));
    });
    request.addEventListener("error", () => reject(new UploadError(["The connection was lost. Try again."])));
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
    onError: (sentence) => {
      words.textContent = sentence;
    },
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showErrors([]);
  showProgress(0, 1);
  words.textContent = "";
  setBusy(true);
  abort = new AbortController();
  try {
    const url = await upload(abort.signal);
    removeEventListener("beforeunload", leaveWarning);
    location.assign(url);
  } catch (error) {
    setBusy(false);
    if (abort.signal.aborted) showErrors(["The upload was cancelled."]);
    else if (error instanceof UploadError) showErrors(error.sentences);
    else showErrors([`The upload failed: ${error.message}. Try again.`]);
  }
});

cancel.addEventListener("click", () => abort && abort.abort());
