// Uploads with a progress bar. Without this script the form does the same by itself.
"use strict";

(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const errors = document.getElementById("upload-errors");
  const bar = document.getElementById("upload-bar");
  const meter = bar.querySelector("progress");
  const percent = document.getElementById("upload-percent");
  const words = document.getElementById("upload-words");
  const cancel = document.getElementById("upload-cancel");
  const submit = form.querySelector("[type=submit]");
  let request = null;

  function mebibytes(bytes) {
    return `${(bytes / 1048576).toFixed(bytes < 104857600 ? 1 : 0)} MiB`;
  }

  function showErrors(texts) {
    errors.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    errors.hidden = texts.length === 0;
  }

  function leaveWarning(event) {
    event.preventDefault();
  }

  function setBusy(busy) {
    submit.disabled = busy;
    bar.hidden = cancel.hidden = !busy;
    (busy ? addEventListener : removeEventListener)("beforeunload", leaveWarning);
  }

  function failed(texts) {
    setBusy(false);
    showErrors(texts);
  }

  function answered() {
    let answer = null;
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      // Not ours: a proxy's page, or an error of the server.
    }
    if (request.status === 201 && answer) {
      removeEventListener("beforeunload", leaveWarning);
      location.assign(answer.url);
    } else if (answer && answer.errors) {
      failed(answer.errors);
    } else if (request.status === 413) {
      failed(["The file is larger than this server takes."]);
    } else {
      failed([`The server could not take the file (status ${request.status}). Try again.`]);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showErrors([]);
    const body = new FormData(form);
    request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (step) => {
      if (!step.lengthComputable) return;
      const share = Math.floor((100 * step.loaded) / step.total);
      meter.value = share;
      percent.textContent = `${share} %`;
      words.textContent = share === 100 ? "The server is storing the file." : `${mebibytes(step.loaded)} of ${mebibytes(step.total)}`;
    });
    request.addEventListener("load", answered);
    request.addEventListener("error", () => failed(["The connection was lost. Try again."]));
    request.addEventListener("abort", () => failed(["The upload was cancelled."]));
    meter.value = 0;
    percent.textContent = "0 %";
    words.textContent = "";
    setBusy(true);
    request.send(body);
  });

  cancel.addEventListener("click", () => request && request.abort());
})();
