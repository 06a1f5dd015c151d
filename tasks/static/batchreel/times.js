// Shows times in the reader's own time zone. Without this script they are UTC, as the server has them.
"use strict";

for (const time of document.querySelectorAll("time[datetime]")) {
  const short = "seconds" in time.dataset;
  const form = short ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" } : { dateStyle: "long", timeStyle: "short" };
  time.textContent = new Date(time.dateTime).toLocaleString("en-GB", form);
}
