// The controls over the video, made of media-chrome's elements. Without media-chrome, the browser's own controls stay.

import { translate } from "./texts.js";

/** Create an element with attributes and children; an attribute that is true is empty. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value === true ? "" : value);
  made.append(...children);
  return made;
}

/** Put the video into a <media-controller>, and return that. */
export function addControls(library, { root, video, messageBox }) {
  const lang = translate(library);
  const controls = element("media-controller", {
    class: "controls",
    lang,
    // The dialog that Shift+/ opens is not translated.
    hotkeys: "noshift+/",
    keyboardupvolumestep: "0.05",
    keyboarddownvolumestep: "0.05",
    defaultstreamtype: "on-demand",
    noautoseektolive: true,
    nosubtitleslangpref: true,
  });
  controls.append(
    element("media-loading-indicator", { slot: "centered-chrome", noautohide: true }),
    element("media-play-button", { slot: "centered-chrome", class: "start", notooltip: true }),
    element("media-time-range"),
    element(
      "media-control-bar",
      {},
      element("media-play-button"),
      element("media-mute-button"),
      element("media-volume-range"),
      element("media-time-display", { showduration: true, notoggle: true }),
      element("span", { class: "space" }),
      element("media-captions-button"),
      element("media-settings-menu-button"),
      element("media-pip-button"),
      element("media-fullscreen-button"),
    ),
    element("media-settings-menu", { hidden: true, anchor: "auto" }),
  );
  if (messageBox) {
    // Inside, it is seen on the full screen, too.
    for (const [key, value] of [["slot", "top-chrome"], ["noautohide", ""]]) messageBox.setAttribute(key, value);
    controls.append(messageBox);
  }
  video.replaceWith(controls);
  video.controls = false;
  video.slot = "media";
  controls.prepend(video);
  // It has aria-checked, which a button may not have.
  controls.querySelector("media-captions-button").setAttribute("role", "switch");
  controls.setAttribute("aria-label", video.getAttribute("aria-label"));
  root.dataset.controls = "";
  return controls;
}
