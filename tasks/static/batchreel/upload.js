// Uploads the chosen or dropped files one after another: in parts directly to the bucket if the form has a URL for that, or else as the
// form does, which also works without this script, for one file. The page stays; new videos appear in its list.
import { announce } from "./live/announce.js";
import { hideSignedOut, showSignedOut } from "./live/notices.js";
import { addCard, container, renewTokens } from "./live/page.js";
import { acceptDrops } from "./upload/drop-zone.js";
import { uploadAsForm } from "./upload/form.js";
import { sizeOf } from "./upload/pace.js";
import { uploadInParts } from "./upload/parts.js";
import { State, UploadQueue } from "./upload/queue.js";
import { UploadRow, messagesOf } from "./upload/row.js";
import { offerUnfinished } from "./upload/unfinished.js";

const { gettext, ngettext, interpolate } = globalThis.django;
const form = document.getElementById("upload");
const panel = document.getElementById("upload-panel");
const list = document.getElementById("uploads");
const unfinished = document.getElementById("unfinished");
const titleField = document.getElementById("upload-title");
const { source, title } = form.elements;
const hint = document.getElementById(`${source.id}_helptext`);
const errors = document.getElementById(`${source.id}_error`);
const rows = new Map();

// The id makes requests that are repeated after a lost response the same upload. Browsers have it only on secure pages.
const newId = () => globalThis.crypto.randomUUID?.();
const csrf = () => form.elements.csrfmiddlewaretoken.value;

function showErrors(messages) {
  errors.firstElementChild.replaceChildren(...messages.map((textContent) => Object.assign(document.createElement("li"), { textContent })));
  errors.hidden = !messages.length;
  source.ariaInvalid = messages.length ? "true" : null;
  source.setAttribute("aria-describedby", messages.length ? `${hint.id} ${errors.id}` : hint.id);
}

// Only a single file has a title of its own: several are named by their files.
function showChosen() {
  const files = [...source.files];
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  const text = ngettext("%(number)s file, %(size)s", "%(number)s files, %(size)s: each is named by its file", files.length);
  hint.textContent = files.length
    ? interpolate(text, { number: files.length, size: sizeOf(bytes) }, true)
    : gettext("You can choose several files, or drop them anywhere on this page.");
  hint.hidden = false;
  titleField.hidden = files.length > 1;
  if (files.length) showErrors([]);
}

function send(upload, signal) {
  const row = rows.get(upload);
  const options = {
    ...upload,
    owner: form.dataset.owner,
    csrf,
    signal,
    onProgress: (sent, total) => row.progress(sent, total),
    onError: (text) => {
      row.note(text);
      announce(`${upload.file.name}: ${text}`);
    },
  };
  if (form.dataset.directUrl) return uploadInParts({ ...options, beginUrl: form.dataset.directUrl });
  return uploadAsForm({ ...options, url: form.action, checkUrl: container.dataset.progressUrl });
}

function warnBeforeLeaving(event) {
  event.preventDefault();
}

function onChange(upload) {
  const { file, state, error, result } = upload;
  rows.get(upload).show();
  (queue.isBusy ? addEventListener : removeEventListener)("beforeunload", warnBeforeLeaving);
  if (state === State.UPLOADING) removeOffer(file.name);
  if (state === State.DONE) {
    announce(interpolate(gettext("%(name)s was uploaded."), { name: file.name }, true));
    // Whether or not it can be shown now: the row has a link to it.
    addCard(result.video).catch(() => {});
  } else if (state === State.FAILED) {
    if (error.code === "SIGNED_OUT") showSignedOut();
    announce(`${file.name}: ${messagesOf(error).join(" ")}`);
  }
}

function removeOffer(name) {
  for (const offer of unfinished.querySelectorAll("li")) if (offer.dataset.name === name) offer.remove();
  unfinished.hidden = !unfinished.children.length;
}

const queue = new UploadQueue({ send, onChange });

async function retry(upload) {
  // The bucket's upload with the old id has ended. In the form's case the id finds a video whose response was lost.
  if (form.dataset.directUrl && (upload.state === State.CANCELLED || upload.error?.status)) upload.id = newId();
  // A sign-in in another tab has made the form's token invalid.
  if (upload.error?.status === 403) await renewTokens().then(hideSignedOut, () => {});
  queue.retry(upload);
}

function add(file, ownTitle) {
  const upload = { file, title: ownTitle, id: newId() };
  const row = new UploadRow(upload, { onCancel: (each) => queue.cancel(each), onRetry: retry });
  rows.set(upload, row);
  list.append(row.element);
  list.hidden = false;
  queue.add(upload);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const files = [...source.files];
  if (!files.length) {
    showErrors([gettext("Choose a video file.")]);
    source.focus();
    return;
  }
  for (const file of files) add(file, files.length === 1 ? title.value.trim() : "");
  form.reset();
  showChosen();
});
source.addEventListener("change", showChosen);

acceptDrops(panel, (files) => {
  panel.open = true;
  source.files = files;
  showChosen();
  form.querySelector("[type=submit]").focus();
});
source.multiple = true;
source.required = false;
showChosen();
offerUnfinished(unfinished, { owner: form.dataset.owner, beginUrl: form.dataset.directUrl, csrf }).then((number) => {
  if (number) panel.open = true;
});
