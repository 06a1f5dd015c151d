// media-chrome's texts in the reader's language. It has few translations of its own, and none into Korean; these are in the
// site's catalogue with all others.

const { gettext } = window.django;
// gettext() takes the texts from the catalogue by these very words, so each is written as a call.
const TEXTS = {
  Captions: gettext("Captions"),
  "Enable captions": gettext("Turn captions on"),
  "Disable captions": gettext("Turn captions off"),
  "Enter fullscreen mode": gettext("Full screen"),
  "Exit fullscreen mode": gettext("Leave full screen"),
  Mute: gettext("Mute"),
  Unmute: gettext("Unmute"),
  "Enter picture in picture mode": gettext("Picture in picture"),
  "Exit picture in picture mode": gettext("Leave picture in picture"),
  Play: gettext("Play"),
  Pause: gettext("Pause"),
  Settings: gettext("Settings"),
  "video player": gettext("video player"),
  volume: gettext("volume"),
  seek: gettext("position"),
  "closed captions": gettext("captions"),
  "playback time": gettext("playback time"),
  "media loading": gettext("loading"),
  settings: gettext("settings"),
  play: gettext("play"),
  pause: gettext("pause"),
  mute: gettext("mute"),
  unmute: gettext("unmute"),
  "chapter: {chapterName}": gettext("chapter: {chapterName}"),
  "enter fullscreen mode": gettext("full screen"),
  "exit fullscreen mode": gettext("leave full screen"),
  "enter picture in picture mode": gettext("picture in picture"),
  "exit picture in picture mode": gettext("leave picture in picture"),
  hour: gettext("hour"),
  hours: gettext("hours"),
  minute: gettext("minute"),
  minutes: gettext("minutes"),
  second: gettext("second"),
  seconds: gettext("seconds"),
  "{time} remaining": gettext("{time} remaining"),
  "{currentTime} of {totalTime}": gettext("{currentTime} of {totalTime}"),
  "video not loaded, unknown time.": gettext("The video is not loaded; its length is unknown."),
};

/** Give media-chrome the texts, and return the language under which it has them. */
export function translate({ addTranslation, englishTexts }) {
  const language = document.documentElement.lang || "en";
  addTranslation(language, { ...englishTexts, ...TEXTS });
  return language;
}
