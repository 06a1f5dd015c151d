// Starts every player of the page, and those that are inserted into it later.
import { Player } from "./player.js";

const players = new Map();

function start(element) {
  if (!players.has(element) && element.querySelector("video")) players.set(element, new Player(element));
}

function startIn(element) {
  for (const [root, player] of players) {
    if (root.isConnected) continue;
    player.end();
    players.delete(root);
  }
  if (element instanceof Element && element.matches(".batchreel-player")) start(element);
  element.querySelectorAll(".batchreel-player").forEach(start);
}

startIn(document);
document.addEventListener("batchreel:inserted", ({ detail }) => startIn(detail));
