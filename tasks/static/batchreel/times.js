// Shows times in the reader's time zone. Without this script they stay in the site's time zone, which the server names.
"use strict";

// English pages have the order of day, month and year of the server's own times.
const { lang } = document.documentElement;
const locale = lang === "en" || !lang ? "en-GB" : lang;

function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const short = "seconds" in time.dataset;
    const options = short ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" } : { dateStyle: "long", timeStyle: "short" };
    time.textContent = new Date(time.dateTime).toLocaleString(locale, options);
  }
}

localize(document);
document.addEventListener("batchreel:inserted", ({ detail }) => localize(detail));
