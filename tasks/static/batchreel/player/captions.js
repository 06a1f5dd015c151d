// Captions of the player: which track is shown, in hls.js and natively alike, and the choice that the browser remembers.

import { choices, remember } from "./memory.js";

const KINDS = ["subtitles", "captions"];

/** Offer the video's caption tracks. Return a function that offers tracks of which only the names are known yet. */
export function offerCaptions({ video, controls, settings, signal }) {
  const tracks = () => [...video.textTracks].filter(({ kind }) => KINDS.includes(kind));
  const idOf = (track) => `${tracks().indexOf(track)}`;
  let wanted = choices().captions ?? "";
  let awaited = null;

  function show(chosen) {
    for (const track of tracks()) {
      const mode = track === chosen ? "showing" : "disabled";
      if (track.mode !== mode) track.mode = mode;
    }
  }

  function choose(id) {
    const track = tracks()[Number(id)];
    wanted = id === "" ? "" : (track?.language ?? awaited?.languages[Number(id)] ?? "");
    remember({ captions: wanted });
    if (id !== "" && awaited) return load(Number(id));
    show(id === "" ? null : track);
  }

  function load(index) {
    const { request } = awaited;
    awaited = { ...awaited, index };
    request();
  }

  function offer() {
    const shown = tracks().find(({ mode }) => mode === "showing");
    const options = tracks().map((track) => ({ value: idOf(track), label: track.label || track.language }));
    settings.offerCaptions(options, shown ? idOf(shown) : "", choose);
  }

  // Several tracks are added one after the other.
  let timer = 0;
  function onTrack() {
    clearTimeout(timer);
    timer = setTimeout(onTracks);
  }

  function onTracks() {
    const found = tracks();
    if (!found.length && awaited) return;
    const index = awaited?.index;
    awaited = null;
    const chosen = index === undefined ? found.find(({ language }) => wanted && language === wanted) : found[index];
    if (chosen && chosen.mode !== "showing") show(chosen);
    offer();
  }

  video.textTracks.addEventListener("addtrack", onTrack, { signal });
  for (const event of ["removetrack", "change"]) video.textTracks.addEventListener(event, () => { if (!awaited) offer(); }, { signal });
  // The button and the key c.
  controls?.addEventListener("mediatogglesubtitlesrequest", () => {
    if (awaited) return choose("0");
    const shown = tracks().find(({ mode }) => mode === "showing");
    wanted = shown?.language ?? "";
    remember({ captions: wanted });
  }, { signal });
  onTracks();

  return (names, request) => {
    if (tracks().length || !names.length) return;
    awaited = { request, languages: names.map(({ language }) => language) };
    settings.offerCaptions(names.map(({ label }, index) => ({ value: `${index}`, label })), "", choose);
  };
}
