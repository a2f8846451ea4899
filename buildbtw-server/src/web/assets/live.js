// Keeps a page true while it is looked at. Changes of single builds are shown at once; everything else
// is fetched again, at most every few seconds, and put in the place of what was there.

import { follow } from "./stream.js";
import { Painter } from "./ansi.js";
import { graphs } from "./graph.js";
import { maps } from "./map.js";
import { morph } from "./morph.js";
import "./log.js";

const main = document.querySelector("main[data-live]");

function length(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

function age() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const seconds = Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (seconds >= 0) time.textContent = seconds < 5 ? "just now" : `${length(seconds)} ago`;
  }
}

function copies() {
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = !navigator.clipboard;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.copy");
  if (!button) return;
  const from = button.dataset.copyFrom;
  try {
    await navigator.clipboard.writeText(from ? document.getElementById(from).textContent : button.dataset.copy);
    button.textContent = "copied";
  } catch {
    button.textContent = "the browser does not let it be copied";
  }
});

let told = () => {};

async function refresh() {
  const address = new URL(location.href);
  // A map follows the events: it need not be sent again.
  if (main.querySelector(".map")) address.searchParams.set("fresh", "true");
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = fresh.querySelector("main");
  if (next.dataset.iteration !== main.dataset.iteration) return location.reload();
  for (const child of next.querySelectorAll("button.copy")) child.hidden = !navigator.clipboard;
  const grows = next.querySelector("pre.log[data-follow]") !== null;
  morph(main, next);
  if (!grows) main.querySelector("pre.log")?.removeAttribute("data-follow");
  document.title = fresh.title;
  document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
  age();
  graphs();
  readLog();
}

// What changes at once is fetched together, and the larger a page is, the rarer.
let waiting, refreshing = false, again = false, rest = 2500, refreshed = 0;
function soon() {
  if (refreshing) {
    again = true;
    return;
  }
  waiting ??= setTimeout(async () => {
    refreshing = true;
    refreshed = Date.now();
    try {
      await refresh();
    } catch {
      // The server is away: the next event says that it is back.
    }
    rest = Math.max(2500, 10 * (Date.now() - refreshed));
    [refreshing, waiting] = [false, undefined];
    if (again) {
      again = false;
      soon();
    }
  }, Math.max(300, refreshed + rest - Date.now()));
}

function take(event) {
  const mine = main.dataset.live === "all" || event.namespace === main.dataset.live || event.kind === "server_mode";
  if (!mine) return;
  const shown = main.dataset.iteration === undefined || Number(main.dataset.iteration) === event.iteration;
  if (event.kind === "build_status" && shown) {
    told(event);
    const row = document.querySelector(`tr[data-build="${CSS.escape(`${event.architecture}/${event.pkgbase}/${event.pass}`)}"] .status`);
    if (row) {
      row.className = `status ${event.to}`;
      row.textContent = event.to.replaceAll("_", " ");
    }
  }
  soon();
}

// How many pieces of a log the page of a build keeps; the whole is one click away.
const PIECES = 4000;

const reading = new WeakSet();
async function readLog() {
  const log = document.querySelector("pre.log[data-follow]");
  if (!log || reading.has(log)) return;
  reading.add(log);
  log.scrollTop = log.scrollHeight;
  const decoder = new TextDecoder();
  const painter = new Painter();
  const answer = await fetch(`/api/v1/runs/${log.dataset.run}/log?follow=true&offset=${log.dataset.length}`);
  const reader = answer.body.getReader();
  let rest = "";
  for (;;) {
    // A connection that breaks is an end as well.
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done || !log.isConnected) break;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    const text = rest + decoder.decode(value, { stream: true });
    // An escape may begin in one part and end in the next.
    rest = text.match(/\x1b[^a-zA-Z\x07\n]*$/)?.[0] ?? "";
    const lines = text.slice(0, text.length - rest.length).split("\n").slice(-PIECES);
    lines.forEach((line, index) => log.append(...painter.line(line).childNodes, index < lines.length - 1 ? "\n" : ""));
    while (log.childNodes.length > PIECES) log.firstChild.remove();
    log.dataset.length = Number(log.dataset.length) + value.length;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  reader.cancel().catch(() => {});
  // Its run is over, or the server stops: the page says which.
  reading.delete(log);
  if (log.isConnected) soon();
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  event.preventDefault();
  document.querySelector("input[type=search]")?.focus();
});

age();
setInterval(() => { if (!document.hidden) age(); }, 10000);
copies();
graphs();
if (main) {
  follow(take);
  readLog();
  told = await maps();
} else {
  await maps();
}
