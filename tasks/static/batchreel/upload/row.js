// One upload as the page shows it: name, state, progress, speed, time left, and what can be done.
import { Pace, sizeOf, timeLeft } from "./pace.js";
import { State } from "./queue.js";
import { UploadError } from "./retries.js";

const { gettext, interpolate } = globalThis.django;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** The messages of an error, for people. */
export function messagesOf(error) {
  if (error instanceof UploadError) return error.messages;
  return [interpolate(gettext("The upload failed: %(error)s. Try again."), { error: error.message }, true)];
}

export class UploadRow {
  constructor(upload, { onCancel, onRetry }) {
    this.upload = upload;
    this.pace = new Pace();
    this.name = element("strong", { textContent: upload.file.name });
    this.meter = element("progress", { max: 100, value: 0 });
    this.meter.setAttribute("aria-label", interpolate(gettext("Upload of %(name)s"), { name: upload.file.name }, true));
    this.percent = element("strong", { className: "percent", textContent: "0 %" });
    this.status = element("span", { className: "upload-status" });
    this.errors = element("ul", { className: "errors", hidden: true });
    this.cancel = this.#button("quiet", gettext("Cancel"), gettext("Cancel the upload of %(name)s"), onCancel);
    this.retry = this.#button("quiet", gettext("Try again"), gettext("Upload %(name)s again"), onRetry);
    this.bar = element("div", { className: "bar" }, this.meter, element("p", { className: "details" }, this.percent, " ", this.status));
    this.element = element("li", { className: "upload-row" }, element("p", { className: "upload-name" }, this.name), this.bar, this.errors, element("p", { className: "buttons" }, this.cancel, this.retry));
    this.show();
  }

  #button(className, text, label, onClick) {
    const button = element("button", { type: "button", className, textContent: text });
    button.setAttribute("aria-label", interpolate(label, { name: this.upload.file.name }, true));
    button.addEventListener("click", () => onClick(this.upload));
    return button;
  }

  /** Show bytes that were sent. */
  progress(sentBytes, totalBytes) {
    this.pace.add(sentBytes);
    const percent = totalBytes ? Math.floor((100 * sentBytes) / totalBytes) : 0;
    this.meter.value = percent;
    this.percent.textContent = `${percent} %`;
    this.status.textContent = percent === 100 ? gettext("The server is storing the file.") : this.#rate(sentBytes, totalBytes);
  }

  #rate(sentBytes, totalBytes) {
    const parts = [interpolate(gettext("%(loaded)s of %(total)s"), { loaded: sizeOf(sentBytes), total: sizeOf(totalBytes) }, true)];
    const rate = this.pace.bytesPerS;
    if (rate !== null) parts.push(`${sizeOf(rate)}/s`, timeLeft(this.pace.remainingS(totalBytes)));
    return parts.join(" · ");
  }

  /** Show a text in place of the numbers, until there are new ones. */
  note(text) {
    this.status.textContent = text;
  }

  /** Show the state. The focus stays in this row if its button disappears. */
  show() {
    const { state, error, result } = this.upload;
    const hadFocus = this.element.contains(document.activeElement);
    this.element.dataset.state = state;
    this.bar.hidden = state !== State.UPLOADING && state !== State.WAITING;
    this.cancel.hidden = this.bar.hidden;
    this.retry.hidden = state !== State.FAILED && state !== State.CANCELLED;
    const messages = state === State.FAILED ? messagesOf(error) : [];
    if (state === State.CANCELLED) messages.push(gettext("The upload was cancelled."));
    this.errors.replaceChildren(...messages.map((textContent) => element("li", { textContent })));
    this.errors.hidden = !messages.length;
    if (state === State.WAITING) [this.pace, this.meter.value, this.percent.textContent, this.status.textContent] = [new Pace(), 0, "0 %", gettext("Waiting for the uploads before it")];
    if (state === State.UPLOADING) this.status.textContent = gettext("Starting");
    if (state === State.DONE) {
      const link = element("a", { href: result.url, textContent: this.upload.title || this.upload.file.name });
      this.name.replaceChildren(link);
      this.name.after(" ", gettext("was uploaded."));
    }
    if (hadFocus && !this.element.contains(document.activeElement)) (this.retry.hidden ? this.name.querySelector("a") ?? this.cancel : this.retry).focus();
  }
}
