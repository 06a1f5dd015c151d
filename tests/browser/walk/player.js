// Uses the player by keyboard: playback, and every entry of its menu of settings.

const MENU = ".batchreel-player media-settings-menu";
const BUTTON = ".batchreel-player media-settings-menu-button";
const VIDEO = ".batchreel-player video";
const MAX_ITEMS = 30;

const until = (page, selector, hidden) =>
  page.waitForFunction((menu, wanted) => document.querySelector(menu).hidden === wanted, {}, selector, hidden);

// The menu moves the focus into itself after it has opened.
const untilFocusIsIn = (page, selector) =>
  page.waitForFunction((menu) => document.querySelector(menu).contains(document.activeElement), {}, selector);

const focusedEntry = (page) => page.evaluate(() => document.activeElement?.dataset.entry ?? "");

async function focusEntry(page, name) {
  for (let step = 0; step < MAX_ITEMS; step += 1) {
    if ((await focusedEntry(page)) === name) return true;
    await page.keyboard.press("ArrowDown");
  }
  return false;
}

async function entryFaults(page, name) {
  const submenu = `${MENU} [data-menu=${name}]`;
  if (!(await focusEntry(page, name))) return [`the arrow keys do not reach the entry ${name}`];
  await page.keyboard.press("Enter");
  await until(page, submenu, false);
  await untilFocusIsIn(page, submenu);
  const count = await page.$$eval(`${submenu} media-chrome-menu-item`, (items) => items.length);
  const reached = new Set();
  for (let step = 0; step <= count; step += 1) {
    reached.add(await page.evaluate((selector) => [...document.querySelectorAll(`${selector} media-chrome-menu-item`)]
      .findIndex((item) => item === document.activeElement), submenu));
    await page.keyboard.press("ArrowDown");
  }
  reached.delete(-1);
  await page.keyboard.press("Escape");
  await until(page, submenu, true);
  return reached.size === count ? [] : [`the arrow keys reach ${reached.size} of ${count} items of ${name}`];
}

/** Play, open each entry of the menu, choose captions, and close it. Returns the faults. */
export async function playerFaults(page) {
  const faults = [];
  await page.waitForFunction((selector) => document.querySelector(selector)?.readyState >= 2, {}, VIDEO);
  await page.$eval(VIDEO, (video) => { video.muted = true; });
  await page.focus(".batchreel-player media-control-bar media-play-button");
  await page.keyboard.press("Enter");
  await page.waitForFunction((selector) => document.querySelector(selector).currentTime > 1, {}, VIDEO);
  await page.keyboard.press("Enter");
  const names = await page.$$eval(`${MENU} [data-entry]:not([hidden])`, (entries) => entries.map((each) => each.dataset.entry));
  for (const name of names) {
    await page.focus(BUTTON);
    await page.keyboard.press("Enter");
    await until(page, MENU, false);
    await untilFocusIsIn(page, MENU);
    faults.push(...(await entryFaults(page, name)));
    await page.keyboard.press("Escape");
    await until(page, MENU, true);
  }
  return faults;
}
