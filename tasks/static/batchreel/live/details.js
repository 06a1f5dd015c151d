// The line below the bar of a video: what its job is doing, and how long it will take.

const { gettext, ngettext, interpolate } = globalThis.django;

export const isGrowing = (watchable) => watchable.startsWith("growing-");

function clock(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function remainingOf(video) {
  const minutes = Math.max(1, Math.round(video.remaining_s / 60));
  if (isGrowing(video.watchable)) return interpolate(gettext("whole in about %(minutes)s min"), { minutes }, true);
  if (video.remaining_s < 90) return gettext("about a minute left");
  return interpolate(ngettext("about %(minutes)s minute left", "about %(minutes)s minutes left", minutes), { minutes }, true);
}

function units(done, total) {
  return interpolate(ngettext("%(done)s of %(total)s unit", "%(done)s of %(total)s units", total), { done, total }, true);
}

function machines(number) {
  return interpolate(ngettext("%(number)s machine running", "%(number)s machines running", number), { number }, true);
}

export function detailsOf(video) {
  const parts = [video.stage];
  if (video.units_total) parts.push(units(video.units_done, video.units_total));
  if (video.attempt > 1) parts.push(interpolate(gettext("attempt %(number)s"), { number: video.attempt }, true));
  if (isGrowing(video.watchable)) parts.push(interpolate(gettext("playable up to %(time)s"), { time: clock(video.playable_s) }, true));
  if (video.containers > 1) parts.push(machines(video.containers));
  if (video.remaining_s !== null) parts.push(remainingOf(video));
  return parts.filter(Boolean).join(" · ");
}
