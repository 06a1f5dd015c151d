// Exchanges blocks (elements with data-block) for those that the server has rendered again, without taking anything from the person
// who uses the page: an unchanged block stays the same element, and a changed one keeps focus, selection, typed text and open details.

const FIELDS = "input:not([type=hidden]):not([type=file]), select, textarea";
const rendered = new WeakMap();
// Copies in a document without a window load nothing.
const inert = document.implementation.createHTMLDocument();

/** Parse a response of the server into a fragment, and renew the CSRF tokens of the page's forms with its own. */
export function parse(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  const token = fresh.querySelector("[name=csrfmiddlewaretoken]")?.value;
  // A sign-in in another tab has replaced the secret that the page's own tokens were made with.
  if (token) for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
  return fresh;
}

// The HTML as the server rendered it: without tokens, which always differ, and texts that times.js writes.
function essence(block) {
  const copy = inert.importNode(block, true);
  for (const field of copy.querySelectorAll("[name=csrfmiddlewaretoken]")) field.setAttribute("value", "");
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  for (const details of copy.querySelectorAll("details")) details.removeAttribute("open");
  return copy.innerHTML;
}

// How an element is found again in the block that takes the place of its own.
function counterpart(element, from, to) {
  if (element.id) return to.querySelector(`#${CSS.escape(element.id)}`);
  const alike = (root) => [...root.querySelectorAll(element.localName)].filter((each) =>
    ["name", "type", "href"].every((name) => each.getAttribute(name) === element.getAttribute(name))
    && each.form?.getAttribute("action") === element.form?.getAttribute("action"));
  return alike(to)[alike(from).indexOf(element)] ?? null;
}

function isChanged(field) {
  if (field.localName === "select") return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue || field.checked !== field.defaultChecked;
}

function keepFields(from, to) {
  for (const field of from.querySelectorAll(FIELDS)) {
    const other = isChanged(field) && counterpart(field, from, to);
    if (other) [other.value, other.checked] = [field.value, field.checked];
  }
}

function keepDetails(from, to) {
  for (const details of from.querySelectorAll("details")) {
    const other = counterpart(details, from, to);
    if (other) other.open = details.open;
  }
}

function focusAgain(focused, from, to) {
  const other = counterpart(focused, from, to);
  if (!other) to.tabIndex = -1;
  (other ?? to).focus({ preventScroll: true });
  if (other && typeof focused.selectionStart === "number") other.setSelectionRange(focused.selectionStart, focused.selectionEnd);
}

function replace(from, to) {
  const focused = from.contains(document.activeElement) ? document.activeElement : null;
  keepFields(from, to);
  keepDetails(from, to);
  // Browsers with scroll anchoring keep what is read in its place themselves.
  const anchor = CSS.supports("overflow-anchor", "auto") ? null : document.elementFromPoint(innerWidth / 2, innerHeight / 2);
  const topPx = anchor?.getBoundingClientRect().top;
  from.replaceWith(to);
  if (anchor?.isConnected) scrollBy(0, anchor.getBoundingClientRect().top - topPx);
  if (focused) focusAgain(focused, from, to);
  document.dispatchEvent(new CustomEvent("batchreel:inserted", { detail: to }));
}

/** Exchange the changed blocks of `root` for those of `fresh`, except the ones whose names are in `except`. */
export function exchange(root, fresh, except = []) {
  for (const to of fresh.querySelectorAll("[data-block]")) {
    const name = to.dataset.block;
    const from = root.querySelector(`[data-block=${CSS.escape(name)}]`);
    if (!from || except.includes(name)) continue;
    const html = essence(to);
    if (html === (rendered.get(from) ?? essence(from))) continue;
    const node = document.importNode(to, true);
    rendered.set(node, html);
    const dialog = from.querySelector("dialog[open]");
    if (dialog) dialog.addEventListener("close", () => from.isConnected && replace(from, node), { once: true });
    else replace(from, node);
  }
}
