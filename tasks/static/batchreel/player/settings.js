// The menu of settings: quality, speed, captions and their size, audio tracks. An entry is hidden while there is nothing to choose.

import { choices, remember } from "./memory.js";
import { element } from "./controls.js";

const { gettext, interpolate } = window.django;

const RATES = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
const NO_CAPTIONS = "off";

// A menu may contain items only, and the name of a button must contain its text.
function nameBackButton(menu, title) {
  const button = menu.shadowRoot.querySelector("button[part~=back]");
  button?.setAttribute("role", "menuitem");
  button?.setAttribute("aria-label", interpolate(gettext("%(title)s: back"), { title }, true));
}

export class Settings {
  constructor({ root, video, controls, signal }) {
    Object.assign(this, { root, video, signal, menu: controls?.querySelector("media-settings-menu"), entries: new Map() });
    if (!this.menu) return;
    nameBackButton(this.menu, gettext("Settings"));
    // In the order of the menu.
    for (const [name, label] of [
      ["quality", gettext("Quality")],
      ["rate", gettext("Speed")],
      ["captions", gettext("Captions")],
      ["size", gettext("Size of captions")],
      ["audio", gettext("Audio")],
    ]) this.#addEntry(name, label);
    this.#offerRates();
    this.#offerSizes();
  }

  #addEntry(name, label) {
    const submenu = element("media-chrome-menu", { slot: "submenu", hidden: true, "data-menu": name }, element("span", { slot: "title" }, label));
    const item = element("media-settings-menu-item", { hidden: true, "data-entry": name }, label, submenu);
    this.menu.append(item);
    nameBackButton(submenu, label);
    const entry = { item, submenu, choose: () => {} };
    submenu.addEventListener("change", () => { if (submenu.checkedItems[0]) entry.choose(submenu.checkedItems[0].value); });
    this.entries.set(name, entry);
  }

  /** Offer `options`, a list of {value, label}, of which `value` is chosen. Writes only what has changed. */
  #offer(name, options, value, choose) {
    const entry = this.entries.get(name);
    if (!entry) return;
    const { item, submenu } = entry;
    entry.choose = choose;
    item.hidden = options.length < 2;
    const items = [...submenu.querySelectorAll("media-chrome-menu-item")];
    if (items.map((each) => each.value).join("\n") === options.map((each) => `${each.value}`).join("\n")) {
      options.forEach(({ label }, index) => {
        if (items[index].textContent !== label) items[index].textContent = label;
      });
      if (submenu.checkedItems[0]?.value !== `${value}`) items.forEach((each) => { each.checked = each.value === `${value}`; });
    } else {
      items.forEach((each) => each.remove());
      for (const option of options) {
        const made = element("media-chrome-menu-item", { type: "radio", value: option.value }, option.label);
        submenu.append(made);
        made.checked = `${option.value}` === `${value}`;
      }
    }
    // The entry shows what is chosen, and looks for that at this event.
    submenu.dispatchEvent(new Event("addmenuitem"));
  }

  #offerRates() {
    const { video, signal } = this;
    const { rate } = choices();
    if (RATES.includes(rate)) video.defaultPlaybackRate = video.playbackRate = rate;
    const show = () => {
      const now = video.playbackRate;
      const label = (number) => (number === 1 ? gettext("Normal") : `${number.toLocaleString(document.documentElement.lang || "en")}×`);
      const rates = RATES.includes(now) ? RATES : [...RATES, now].sort((a, b) => a - b);
      this.#offer("rate", rates.map((each) => ({ value: each, label: label(each) })), now, (value) => {
        video.defaultPlaybackRate = video.playbackRate = Number(value);
      });
    };
    video.addEventListener("ratechange", () => {
      show();
      if (RATES.includes(video.playbackRate)) remember({ rate: video.playbackRate });
    }, { signal });
    show();
  }

  #offerSizes() {
    const sizes = [
      { value: "small", label: gettext("Small") },
      { value: "normal", label: gettext("Normal") },
      { value: "large", label: gettext("Large") },
      { value: "huge", label: gettext("Very large") },
    ];
    const apply = (value) => {
      this.root.dataset.textSize = value;
      this.#offer("size", sizes, value, (chosen) => {
        remember({ textSize: chosen });
        apply(chosen);
      });
      this.entries.get("size").item.hidden = !this.hasCaptions;
    };
    const { textSize } = choices();
    apply(sizes.some(({ value }) => value === textSize) ? textSize : "normal");
  }

  /** Offer qualities: `options` are {value, label}. */
  offerQualities(options, value, choose) {
    this.#offer("quality", options, value, choose);
  }

  /** Offer caption tracks: {value, label}; `value` is empty for none. */
  offerCaptions(options, value, choose) {
    const all = [{ value: NO_CAPTIONS, label: gettext("Off") }, ...options];
    this.#offer("captions", all, value || NO_CAPTIONS, (chosen) => choose(chosen === NO_CAPTIONS ? "" : chosen));
    this.hasCaptions = options.length > 0;
    if (this.entries.size) this.entries.get("size").item.hidden = !this.hasCaptions;
  }

  /** Offer audio tracks: {label, language}; `index` is that of the one that plays. */
  offerAudio(tracks, index, choose) {
    const options = tracks.map(({ label, language }, at) => ({
      value: at,
      label: label || language || interpolate(gettext("Track %(number)s"), { number: at + 1 }, true),
    }));
    this.#offer("audio", options, index, (value) => {
      remember({ audio: tracks[Number(value)].language ?? "" });
      choose(Number(value));
    });
  }
}
