// What the server renders again when a video has changed: its card in a list, or the blocks of its own page.
import { announce } from "./announce.js";
import { exchange, parse } from "./exchange.js";

const { gettext, interpolate } = globalThis.django;

/** The element that names the addresses of this page; null on other pages. */
export const container = document.querySelector("[data-progress-url]");
export const isList = Boolean(container && "cardsUrl" in container.dataset);

/** Thrown for a response that needs an account. */
export class SignedOutError extends Error {}

/** Request an address of the site. Throws SignedOutError, or TypeError for a server that cannot be reached. */
export async function request(url, accept) {
  const response = await fetch(url, { headers: { Accept: accept } });
  if (response.status === 403) throw new SignedOutError();
  return response;
}

async function html(url) {
  const response = await request(url, "text/html, application/json;q=0.9");
  if (!response.ok) throw new TypeError(`status ${response.status}`);
  return parse(await response.text());
}

async function freshCards(ids) {
  const fresh = await html(`${container.dataset.cardsUrl}?${new URLSearchParams(ids.map((id) => ["video", id]))}`);
  return new Map([...fresh.querySelectorAll("[data-card]")].map((card) => [card.dataset.card, card]));
}

const cardOf = (id) => container.querySelector(`[data-card="${CSS.escape(id)}"]`);

/** Exchange what has changed of these videos. `except` are blocks that must stay, such as a player in use. */
export async function refresh(ids, except = []) {
  if (!isList) return exchange(container, await html(container.dataset.blocksUrl), except);
  const fresh = await freshCards(ids);
  for (const id of ids) {
    const card = cardOf(id);
    if (card && fresh.has(id)) exchange(card, fresh.get(id), except);
  }
}

/** Renew the CSRF tokens of the page's forms: a sign-in in another tab has made them invalid. */
export async function renewTokens() {
  await html(isList ? container.dataset.cardsUrl : container.dataset.blocksUrl);
}

/** Add the card of a new video to a list whose newest videos are shown first. */
export async function addCard(id) {
  const list = container.querySelector(".cards[data-prepends]");
  if (!list || cardOf(id)) return;
  const card = (await freshCards([id])).get(id);
  if (!card || cardOf(id)) return;
  const node = document.importNode(card, true);
  list.prepend(node);
  list.hidden = false;
  container.querySelector(".empty")?.remove();
  count(1);
  document.dispatchEvent(new CustomEvent("batchreel:inserted", { detail: node }));
}

function count(change) {
  const number = container.querySelector(".count");
  if (number && /^\d+$/.test(number.textContent)) number.textContent = Number(number.textContent) + change;
}

/** Show that a video is gone, in the place of its card or of the blocks of its page except those in `except`. */
export function showGone(block, except = []) {
  const text = isList
    ? interpolate(gettext("“%(video)s” was deleted."), { video: block.dataset.title }, true)
    : gettext("The video is no longer available.");
  const note = Object.assign(document.createElement("p"), { className: "message info gone", textContent: text });
  if (isList) {
    const card = block.closest("[data-card]");
    const hadFocus = card.contains(document.activeElement);
    card.replaceChildren(note);
    count(-1);
    if (hadFocus) focusOn(card);
  } else {
    const blocks = [...container.querySelectorAll("[data-block]")].filter((each) => !except.includes(each.dataset.block));
    const hadFocus = blocks.some((each) => each.contains(document.activeElement));
    block.closest("[data-block=progress]").before(note);
    for (const each of blocks) each.replaceChildren();
    if (hadFocus) focusOn(note);
  }
  announce(text);
}

function focusOn(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}
