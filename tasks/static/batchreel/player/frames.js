// Images on the seek bar, from the map of the published video's thumbnails. It is loaded when the pointer first comes near.

const MIN_INTERVAL_MS = 60000;

/** Show an image of the place under the pointer. Return a function to call when there is a map to load. */
export function showFrames({ video, controls, signal }) {
  const { thumbnails } = video.dataset;
  if (!thumbnails || !controls) return () => {};
  let isThere = !("growing" in video.dataset);
  let loadedAt = -Infinity;

  function load() {
    if (!isThere || performance.now() - loadedAt < MIN_INTERVAL_MS) return;
    loadedAt = performance.now();
    video.querySelector("track[label=thumbnails]")?.remove();
    // media-chrome finds it by this label, and browsers load metadata by themselves only if it is a default.
    const track = Object.assign(document.createElement("track"), { kind: "metadata", label: "thumbnails", default: true, src: thumbnails });
    video.append(track);
    track.track.mode = "hidden";
  }

  const bar = controls.querySelector("media-time-range");
  for (const event of ["pointerenter", "pointerdown", "focusin"]) {
    controls.addEventListener(event, () => { if (loadedAt === -Infinity) load(); }, { signal });
  }
  // The URLs of images in a private bucket expire; the map has new ones each time.
  const preview = bar.shadowRoot.querySelector("media-preview-thumbnail");
  preview?.shadowRoot?.addEventListener("error", load, { capture: true, signal });
  return () => { isThere = true; };
}
