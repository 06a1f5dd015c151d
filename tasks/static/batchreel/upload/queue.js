// The queue of uploads: one file after another, so that the first is there soonest and a connection is not shared.
// An upload that fails or is cancelled ends; the next one starts.

export const State = Object.freeze({ WAITING: "waiting", UPLOADING: "uploading", DONE: "done", FAILED: "failed", CANCELLED: "cancelled" });

export class UploadQueue {
  #uploads = [];
  #isRunning = false;

  /** `send(upload, signal)` uploads one file and resolves to its result; `onChange(upload)` is called after each change of state. */
  constructor({ send, onChange }) {
    Object.assign(this, { send, onChange });
  }

  /** Whether leaving the page would lose something. */
  get isBusy() {
    return this.#uploads.some(({ state }) => state === State.WAITING || state === State.UPLOADING);
  }

  add(upload) {
    this.#uploads.push(upload);
    this.#enqueue(upload);
  }

  retry(upload) {
    this.#enqueue(upload);
  }

  cancel(upload) {
    if (upload.state === State.WAITING) this.#set(upload, State.CANCELLED);
    else if (upload.state === State.UPLOADING) upload.abort.abort();
  }

  #enqueue(upload) {
    upload.error = null;
    this.#set(upload, State.WAITING);
    void this.#run();
  }

  #set(upload, state) {
    upload.state = state;
    this.onChange(upload);
  }

  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let upload; (upload = this.#uploads.find(({ state }) => state === State.WAITING)); ) await this.#upload(upload);
    this.#isRunning = false;
  }

  async #upload(upload) {
    upload.abort = new AbortController();
    this.#set(upload, State.UPLOADING);
    try {
      upload.result = await this.send(upload, upload.abort.signal);
      this.#set(upload, State.DONE);
    } catch (error) {
      upload.error = error;
      this.#set(upload, upload.abort.signal.aborted ? State.CANCELLED : State.FAILED);
    }
  }
}
