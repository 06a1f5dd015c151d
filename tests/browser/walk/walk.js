// Walks pages by keyboard in Chromium or Firefox, and prints what is wrong with each as JSON.
//
//   node walk.js '{"browser": "firefox", "path": "/usr/bin/firefox-esr", "flags": [], "width": 390, "height": 800, "dark": true,
//                  "axe": "axe.min.js", "cookies": [...], "pages": [{"name": "list", "url": "...", "opens": ["summary"], "plays": false, "excludes": []}]}'

import { readFileSync } from "node:fs";
import puppeteer from "puppeteer-core";
import { keyboardFaults } from "./keyboard.js";
import { playerFaults } from "./player.js";

const DARK_IN_FIREFOX = 0;
const LIGHT_IN_FIREFOX = 1;
const LIMIT_MS = 30000;

const wanted = JSON.parse(process.argv[2]);
const axe = readFileSync(wanted.axe, "utf8");

async function launch() {
  const scheme = wanted.dark ? DARK_IN_FIREFOX : LIGHT_IN_FIREFOX;
  return puppeteer.launch({
    browser: wanted.browser,
    executablePath: wanted.path,
    headless: true,
    args: wanted.flags,
    extraPrefsFirefox: { "layout.css.prefers-color-scheme.content-override": scheme, "media.autoplay.default": 0 },
  });
}

// Everything that the page reports: errors and warnings of scripts, and what the content security policy refused.
function record(page) {
  const problems = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
  });
  return problems;
}

async function accessibilityFaults(page, excluded) {
  await page.evaluate(axe);
  return page.evaluate(async (exclude) => {
    const { violations } = await globalThis.axe.run({ exclude });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  }, excluded);
}

async function walk(browser, { url, opens = [], plays = false, excludes = [] }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  await page.setViewport({ width: wanted.width, height: wanted.height });
  if (wanted.browser === "chrome") {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: wanted.dark ? "dark" : "light" }]);
  }
  const problems = record(page);
  await page.goto(url, { waitUntil: "load" });
  const found = { player: plays ? await playerFaults(page) : [] };
  for (const selector of opens) {
    await page.focus(selector);
    await page.keyboard.press("Enter");
  }
  [found.keyboard, found.reached] = await keyboardFaults(page);
  found.accessibility = await accessibilityFaults(page, excludes);
  found.scheme = await page.evaluate(() => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  found.tooWidePx = await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth));
  found.problems = problems;
  await page.close();
  return found;
}

const browser = await launch();
try {
  await browser.setCookie(...wanted.cookies);
  const results = {};
  for (const page of wanted.pages) results[page.name] = await walk(browser, page);
  console.log(JSON.stringify(results));
} finally {
  await browser.close();
}
