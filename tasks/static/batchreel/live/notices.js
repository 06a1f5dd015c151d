// Notices at the top of a page that its script shows: none of them moves what a person is using.
import { announce } from "./announce.js";
import { container } from "./page.js";

const { gettext } = globalThis.django;
let signedOut = null;

/** Show that the person has been signed out, with a link to sign in: in a new tab, so that this page keeps everything. */
export function showSignedOut() {
  if (signedOut) return;
  signedOut = Object.assign(document.createElement("p"), { className: "message warning signed-out" });
  // The page itself leads to the login page, and from there back to itself.
  const link = Object.assign(document.createElement("a"), { href: location.href, target: "_blank", textContent: gettext("Sign in in a new tab") });
  const text = gettext("You have been signed out. What you see here is kept.");
  signedOut.append(`${text} `, link);
  container.prepend(signedOut);
  announce(text);
}

/** Remove that notice. Returns whether there was one. */
export function hideSignedOut() {
  const wasShown = signedOut !== null;
  signedOut?.remove();
  signedOut = null;
  return wasShown;
}

/** Offer the version that was published while an older one is watched. `show` exchanges the player. */
export function offerNewVersion(show) {
  if (document.getElementById("newer")) return;
  const notice = Object.assign(document.createElement("p"), { id: "newer", className: "message info" });
  const text = gettext("A newer version of this video is ready.");
  const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: gettext("Watch it") });
  button.addEventListener("click", async () => {
    await show();
    notice.remove();
  });
  notice.append(`${text} `, button);
  container.querySelector("[data-block=player]").after(notice);
  announce(text);
}
