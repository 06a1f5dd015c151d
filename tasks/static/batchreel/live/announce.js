// The one live region of a page: what changes is announced here, with the name of the video or file that it is about.

const region = document.createElement("p");
region.id = "announcements";
region.className = "visually-hidden";
region.setAttribute("role", "status");
document.body.append(region);
let pending = [];

/** Announce a text to screen readers. Texts of the same moment become one announcement. */
export function announce(text) {
  pending.push(text);
  if (pending.length > 1) return;
  queueMicrotask(() => {
    region.textContent = pending.join(" ");
    pending = [];
  });
}
