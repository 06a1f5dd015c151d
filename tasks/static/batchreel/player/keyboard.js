// Keys that media-chrome leaves to others: 0-9, Home and End. It has k j l m f c p < > space and the arrows, while the focus is
// inside of the player.

const MENU_ROLES = "[role=menu], [role^=menuitem]";

/** Seek by digits (tenths of the video), Home and End. */
export function addKeys({ video, controls, signal }) {
  controls.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (target.closest(MENU_ROLES) || target.matches("media-volume-range, input, select, textarea, [contenteditable]")) return;
    if (!Number.isFinite(video.duration)) return;
    if (/^[0-9]$/.test(key)) video.currentTime = (Number(key) / 10) * video.duration;
    else if (key === "Home") video.currentTime = 0;
    else if (key === "End") video.currentTime = video.duration;
    else return;
    event.preventDefault();
  }, { signal });
}
