// Plays HLS with hls.js: the published video, or one that is still being made.

import { choices, remember } from "./memory.js";
import { FAILED, outageHandler } from "./outage.js";

const { gettext, interpolate } = window.django;

const MAX_RECOVERIES = 3;
const MIN_RENEWAL_INTERVAL_MS = 60000;
// Reads of the playlist of a video that was just published: the last one is after two minutes.
const MAX_READS = 8;
const FIRST_PAUSE_MS = 1000;
const ENDED_STATUSES = [403, 404, 410];
const AUTOMATIC = "-1";
const AUDIO_ONLY = "audio";

// Fewer retries than by default: outageHandler makes the others, and shows a message meanwhile.
function withOneRetry({ default: policy }) {
  return { default: { ...policy, errorRetry: { ...policy.errorRetry, maxNumRetry: 1 } } };
}

function isOutage(error) {
  const status = error.response?.code;
  return !status || status >= 500 || status === 408 || status === 429;
}

function messageOf(error) {
  try {
    const { code, errors } = JSON.parse(error.networkDetails.responseText);
    return code === "NOT_FOUND" ? gettext("The video is no longer available. If you have been signed out, sign in again.") : errors.join(" ");
  } catch {
    return FAILED;
  }
}

function sideOf({ width, height }) {
  return Math.min(width, height);
}

export class Stream {
  constructor(Hls, player) {
    const { fragLoadPolicy, playlistLoadPolicy, manifestLoadPolicy } = Hls.DefaultConfig;
    this.Hls = Hls;
    this.player = player;
    this.recoveries = 0;
    this.renewedAt = -Infinity;
    this.isAudioOnly = false;
    this.hls = new Hls({
      fragLoadPolicy: withOneRetry(fragLoadPolicy),
      playlistLoadPolicy: withOneRetry(playlistLoadPolicy),
      manifestLoadPolicy: withOneRetry(manifestLoadPolicy),
      // A growing playlist would start near its end, and look live.
      liveDurationInfinity: false,
      ...(player.isGrowing || player.startS ? { startPosition: player.startS } : {}),
      ...(player.needsCookies ? { xhrSetup: (xhr, url) => { xhr.withCredentials = new URL(url, location.href).origin !== location.origin; } } : {}),
    });
    this.outage = outageHandler(player, () => (this.hls.levels.length ? this.hls.startLoad() : this.hls.loadSource(this.#url)));
    const { Events } = Hls;
    this.hls.on(Events.MANIFEST_PARSED, () => this.#onManifest());
    this.hls.on(Events.AUDIO_TRACKS_UPDATED, () => {
      // They are known after the levels are, and without them there is no audio alone to choose.
      this.#offerQualities();
      this.#offerAudio();
    });
    this.hls.on(Events.AUDIO_TRACK_SWITCHED, () => this.#offerAudio());
    this.hls.on(Events.LEVEL_SWITCHED, () => this.#offerQualities());
    this.hls.on(Events.FRAG_LOADED, this.outage.over);
    this.hls.on(Events.ERROR, (_, error) => this.#onError(error));
    player.onStop((message) => {
      this.outage.over();
      this.hls.stopLoad();
      player.showMessage(message, "info");
    });
    player.signal.addEventListener("abort", () => this.hls.destroy());
    this.hls.loadSource(player.playlistUrl);
    this.hls.attachMedia(player.video);
  }

  get #url() {
    return this.isAudioOnly ? this.audioTracks[this.audioIndex].url : this.player.playlistUrl;
  }

  /** Read the playlists again, from the same place: they have other URLs, or more tracks, now. */
  reload() {
    const { video } = this.player;
    const isPlaying = !video.paused;
    this.hls.config.startPosition = video.currentTime;
    this.hls.loadSource(this.#url);
    // Browsers pause what gets another source.
    if (isPlaying) this.hls.once(this.Hls.Events.MANIFEST_PARSED, () => video.play().catch(() => {}));
  }

  #onManifest() {
    const { levels } = this.hls;
    // Otherwise hls.js would select the default captions by itself, and show them or not, as events fall.
    this.hls.subtitleTrack = -1;
    if (this.isAudioOnly) return;
    const { quality } = choices();
    const index = levels.findIndex((level) => sideOf(level) === quality);
    if (index >= 0) this.hls.loadLevel = index;
    this.#offerQualities();
  }

  #offerQualities() {
    const { hls, player } = this;
    if (this.isAudioOnly) return player.settings.offerQualities(this.qualities, AUDIO_ONLY, (value) => this.#chooseQuality(value));
    const now = hls.levels[hls.currentLevel];
    const automatic = hls.autoLevelEnabled && now
      ? interpolate(gettext("Automatic (%(side)sp)"), { side: sideOf(now) }, true)
      : gettext("Automatic");
    const rungs = hls.levels.map((level, index) => ({ value: `${index}`, side: sideOf(level) })).sort((a, b) => b.side - a.side);
    this.qualities = [
      ...(rungs.length > 1 ? [{ value: AUTOMATIC, label: automatic }] : []),
      ...rungs.map(({ value, side }) => ({ value, label: `${side}p` })),
      ...(hls.audioTracks.length && rungs.some(({ side }) => side) ? [{ value: AUDIO_ONLY, label: gettext("Audio only") }] : []),
    ];
    const chosen = hls.autoLevelEnabled && rungs.length > 1 ? AUTOMATIC : `${Math.max(hls.manualLevel, 0)}`;
    player.settings.offerQualities(this.qualities, chosen, (value) => this.#chooseQuality(value));
  }

  #chooseQuality(value) {
    const { hls } = this;
    if (value === AUDIO_ONLY) return this.#playAudioOnly(Math.max(hls.audioTrack, 0));
    const side = value === AUTOMATIC ? 0 : parseInt(this.qualities.find((each) => each.value === value).label, 10);
    remember({ quality: side });
    if (this.isAudioOnly) {
      this.isAudioOnly = false;
      this.#label("");
      this.reload();
      return;
    }
    hls.nextLevel = Number(value);
    this.#offerQualities();
  }

  // hls.js ignores the variant without video next to those with it, so the playlist of the audio track is played itself.
  #playAudioOnly(index) {
    if (!this.isAudioOnly) this.audioTracks = this.hls.audioTracks.map(({ name, lang, url }) => ({ label: name, language: lang, url }));
    this.isAudioOnly = true;
    this.audioIndex = index;
    this.#label(gettext("Audio only"));
    this.reload();
    this.#offerQualities();
    this.#offerAudio();
  }

  #label(text) {
    this.player.controls?.toggleAttribute("data-label", Boolean(text));
    if (text) this.player.controls?.setAttribute("data-label", text);
  }

  #offerAudio() {
    const { hls, player } = this;
    if (this.isAudioOnly) {
      return player.settings.offerAudio(this.audioTracks, this.audioIndex, (index) => this.#playAudioOnly(index));
    }
    const tracks = hls.audioTracks.map(({ name, lang }) => ({ label: name, language: lang }));
    const { audio } = choices();
    const wanted = tracks.findIndex(({ language }) => language && language === audio);
    if (wanted >= 0 && !this.hasChosenAudio) hls.audioTrack = wanted;
    this.hasChosenAudio ||= tracks.length > 0;
    player.settings.offerAudio(tracks, hls.audioTrack, (index) => { hls.audioTrack = index; });
  }

  #onError(error) {
    const { Hls, hls, outage, player } = this;
    console.warn(`hls.js: ${error.details}${error.fatal ? ", fatal" : ""}`);
    // Presigned URLs of a private bucket expire; reloading the playlists returns new ones. S3 responds with 403 if
    // the URL has expired, and with 400 if the credentials that signed it have.
    if ([400, 403].includes(error.response?.code) && error.frag && performance.now() - this.renewedAt > MIN_RENEWAL_INTERVAL_MS) {
      this.renewedAt = performance.now();
      player.fetchCookies().then(() => this.reload());
      return;
    }
    if (player.isGrowing && !error.frag && ENDED_STATUSES.includes(error.response?.code)) {
      hls.stopLoad();
      player.showMessage(messageOf(error), "info");
      return;
    }
    if (!error.fatal) return;
    // A unit may be made again, so what is missing or damaged now may be there when the playlist was read again.
    if (error.type === Hls.ErrorTypes.NETWORK_ERROR && (isOutage(error) || (player.isGrowing && error.frag))) {
      outage.interrupted();
      return;
    }
    this.recoveries += 1;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && this.recoveries <= MAX_RECOVERIES) {
      hls.recoverMediaError();
    } else {
      hls.stopLoad();
      player.showMessage(FAILED);
    }
  }

  /** Return names and languages of the captions in the playlist, which may have got them since it was read. */
  async publishedCaptions() {
    const attribute = (line, name) => line.match(new RegExp(`[,:]${name}="([^"]*)"`))?.[1] ?? "";
    return (await this.#playlistText())
      .split("\n")
      .filter((line) => line.startsWith("#EXT-X-MEDIA:TYPE=SUBTITLES"))
      .map((line) => ({ label: attribute(line, "NAME"), language: attribute(line, "LANGUAGE") }));
  }

  // Without it, the video would have no captions until the page is opened again, so a busy server is asked again.
  async #playlistText() {
    const { playlistUrl, needsCookies, signal } = this.player;
    for (let attempt = 0; attempt < MAX_READS && !signal.aborted; attempt += 1) {
      if (attempt) await new Promise((resolve) => { setTimeout(resolve, FIRST_PAUSE_MS * 2 ** (attempt - 1)); });
      const response = await fetch(playlistUrl, { credentials: needsCookies ? "include" : "same-origin" }).catch(() => null);
      if (response?.ok) return response.text();
    }
    return "";
  }
}
