// Shows times in the reader's time zone. Without this script they stay in the site's time zone, which the server names.
"use strict";

for (const time of document.querySelectorAll("time[datetime]")) {
  const short = "seconds" in time.dataset;
  const options = short ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" } : { dateStyle: "long", timeStyle: "short" };
  time.textContent = new Date(time.dateTime).toLocaleString("en-GB", options);
}
