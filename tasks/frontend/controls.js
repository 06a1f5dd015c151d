// The elements of media-chrome that the player has. Its own build for browsers has all of them, and no way to add a translation.
import "media-chrome/media-controller";
import "media-chrome/media-control-bar";
import "media-chrome/media-captions-button";
import "media-chrome/media-fullscreen-button";
import "media-chrome/media-loading-indicator";
import "media-chrome/media-mute-button";
import "media-chrome/media-pip-button";
import "media-chrome/media-play-button";
import "media-chrome/media-time-display";
import "media-chrome/media-time-range";
import "media-chrome/media-volume-range";
import "media-chrome/menu/media-chrome-menu";
import "media-chrome/menu/media-chrome-menu-item";
import "media-chrome/menu/media-settings-menu";
import "media-chrome/menu/media-settings-menu-button";
import "media-chrome/menu/media-settings-menu-item";

export { En as englishTexts } from "media-chrome/lang/en";
export { addTranslation } from "media-chrome/utils/i18n";
