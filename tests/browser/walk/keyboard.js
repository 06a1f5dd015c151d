// Presses Tab through a page: what it never reaches, what shows no focus, and what has the focus out of sight.

// Runs in the page, before anything else of this module.
function addProbe() {
  const deep = (root) => [...root.querySelectorAll("*")].flatMap((each) => [each, ...(each.shadowRoot ? deep(each.shadowRoot) : [])]);
  const parents = (element) => {
    const found = [];
    for (let each = element; each; each = each.parentElement ?? each.getRootNode().host) found.push(each);
    return found;
  };
  const name = (element) => element.cloneNode(false).outerHTML.replace(/\s+/g, " ").slice(0, 160);

  // Of radio buttons with one name, the checked one gets the focus; the arrow keys reach the others.
  const isOtherRadio = (element) => {
    if (element.type !== "radio") return false;
    const group = [...document.querySelectorAll(`input[type=radio][name="${CSS.escape(element.name)}"]`)].filter((each) => each.form === element.form);
    return element !== (group.find((each) => each.checked) ?? group[0]);
  };
  const isReachable = (element) =>
    element.tabIndex >= 0 && !element.disabled && !isOtherRadio(element)
    && element.checkVisibility({ visibilityProperty: true }) && !element.closest("[inert]")
    && !(element.shadowRoot?.delegatesFocus)
    && (element.localName !== "video" || element.controls);

  const isMarked = (element) => {
    // A label stands for a field that is drawn as a button, and a host for what is in its shadow tree.
    const around = parents(element).slice(0, 3);
    return [...around, ...(element.labels ?? [])].some((each) => {
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
      return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
    });
  };
  const isInSight = (element) => {
    const { left, right, top, bottom, width, height } = element.getBoundingClientRect();
    const isDrawn = width > 0 && height > 0;
    return !isDrawn || (bottom > 0 && right > 0 && top < innerHeight && left < innerWidth);
  };

  globalThis.keyboardProbe = {
    expected: () => deep(document.body).filter(isReachable),
    focused: () => {
      let element = document.activeElement;
      while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
      return element;
    },
    seen: [],
    faults: [],
    /** Record what has the focus now. Returns false once the walk is complete. */
    step() {
      const element = this.focused();
      if (!element || element === document.body || element === this.seen[0]) return false;
      this.seen.push(element);
      if (!isMarked(element)) this.faults.push(`shows no focus: ${name(element)}`);
      if (!isInSight(element)) this.faults.push(`has the focus out of sight: ${name(element)}`);
      return true;
    },
    missed() {
      const reached = new Set(this.seen.flatMap(parents));
      return this.expected().filter((each) => !reached.has(each)).map((each) => `is never reached: ${name(each)}`);
    },
  };
}

/** Walk the page from its beginning to its end. Returns the faults, and how many elements were reached. */
export async function keyboardFaults(page) {
  await page.evaluate(addProbe);
  await page.evaluate(() => {
    // Where Tab starts, whatever had the focus before.
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  const limit = 2 * (await page.evaluate(() => keyboardProbe.expected().length)) + 20;
  let steps = 0;
  do {
    await page.keyboard.press("Tab");
    steps += 1;
  } while ((await page.evaluate(() => keyboardProbe.step())) && steps < limit);
  const [faults, reached] = await page.evaluate(() => [[...keyboardProbe.faults, ...keyboardProbe.missed()], keyboardProbe.seen.length]);
  if (steps === limit) faults.push(`the focus is still in the page after ${limit} steps`);
  return [faults, reached];
}
