// One player: its video, controls, messages and settings, and what happens to it while the page is open.

import { addControls } from "./controls.js";
import { addKeys } from "./keyboard.js";
import { keepPositions, offerToContinue, startOf } from "./resume.js";
import { offerCaptions } from "./captions.js";
import { playNatively } from "./native.js";
import { Settings } from "./settings.js";
import { showChapters } from "./chapters.js";
import { showFrames } from "./frames.js";
import { Stream } from "./streaming.js";

const { gettext } = window.django;
const MEDIA_TYPE = "application/vnd.apple.mpegurl";

// Each is loaded once, for the first player that needs it.
let controlsLibrary = null;
let hlsLibrary = null;

function loadControls() {
  controlsLibrary ??= import("../vendor/controls.js").catch(() => null);
  return controlsLibrary;
}

function loadHls() {
  const canPlay = "MediaSource" in window || "ManagedMediaSource" in window;
  hlsLibrary ??= canPlay ? import("../vendor/hls.js").then(({ default: Hls }) => Hls).catch(() => null) : Promise.resolve(undefined);
  return hlsLibrary;
}

export class Player {
  #ending = new AbortController();
  #stops = [];

  constructor(root) {
    this.root = root;
    this.video = root.querySelector("video");
    this.messageBox = root.querySelector("[data-part=error]");
    this.signal = this.#ending.signal;
    this.playlistUrl = this.video.dataset.playlist ?? "";
    // Its playlist is read again and again, until it is whole or its job has ended.
    this.isGrowing = "growing" in this.video.dataset;
    // A CDN may require signed cookies, which this site sets. The attribute is the address of the response that does.
    this.needsCookies = Boolean(this.video.dataset.cookies);
    this.isElsewhere = new URL(this.playlistUrl, location.href).origin !== location.origin;
    this.startS = startOf(this);
    this.#start();
  }

  async #start() {
    if (this.playlistUrl) loadHls();
    const library = await loadControls();
    if (this.signal.aborted) return;
    this.controls = library && addControls(library, this);
    this.settings = new Settings(this);
    if (this.controls) addKeys(this);
    offerToContinue(this);
    keepPositions(this);
    this.showChapters = showChapters(this);
    this.haveFrames = showFrames(this);
    this.awaitCaptions = offerCaptions(this);
    document.addEventListener("batchreel:published", ({ detail }) => this.#onPublished(detail), { signal: this.signal });
    document.addEventListener("batchreel:stopped", ({ detail }) => this.#onStopped(detail), { signal: this.signal });
    await this.fetchCookies();
    if (!this.signal.aborted) await this.#play();
  }

  async #play() {
    const { video } = this;
    if (!this.playlistUrl) return this.#playFile();
    const Hls = await loadHls();
    if (this.signal.aborted) return;
    if (Hls?.isSupported()) this.stream = new Stream(Hls, this);
    else if (video.canPlayType(MEDIA_TYPE)) playNatively(this);
    else if (Hls === null) {
      this.showMessage(gettext("The player is not installed on this server (hls.js is missing), and this browser cannot play the video without it."));
    } else {
      this.showMessage(gettext("This browser cannot play the video. A current version of Firefox, Chrome, Edge or Safari can."));
    }
  }

  // The uploaded file, which the page has as `src`.
  #playFile() {
    const seek = () => { this.video.currentTime = this.startS; };
    if (!this.startS) return;
    if (this.video.readyState >= HTMLMediaElement.HAVE_METADATA) seek();
    else this.video.addEventListener("loadedmetadata", seek, { once: true, signal: this.signal });
  }

  /** Get the cookies of a CDN that requires some. */
  async fetchCookies() {
    if (this.needsCookies) await fetch(this.video.dataset.cookies, { headers: { Accept: "application/json" } }).catch(() => {});
  }

  showMessage(message, kind = "error") {
    if (!this.messageBox) return;
    this.messageBox.className = `message ${kind}`;
    this.messageBox.textContent = message;
    this.messageBox.hidden = false;
  }

  hideMessage() {
    if (this.messageBox) this.messageBox.hidden = true;
  }

  /** Call `stop` with a message when nothing more of the video is made. */
  onStop(stop) {
    this.#stops.push(stop);
  }

  // What was loaded can still be watched.
  #onStopped(message) {
    for (const stop of this.#stops) stop(`${message} ${gettext("What follows cannot be watched.")}`);
  }

  // The video was published while it was watched. What is played has the same URL as before.
  async #onPublished(chapters) {
    if (!this.isGrowing) return;
    this.isGrowing = false;
    this.root.querySelector("[data-part=growing]")?.remove();
    this.showChapters(chapters);
    this.haveFrames();
    const names = await this.stream?.publishedCaptions() ?? [];
    if (!this.signal.aborted) this.awaitCaptions(names, () => this.stream.reload());
  }

  /** Release the player, which is no longer in the page. */
  end() {
    this.#ending.abort();
  }
}
