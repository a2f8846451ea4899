// Keeps a page true while it is looked at. Changes of single builds are shown at once; everything else
// is fetched again, at most every few seconds, and put in the place of what was there.

import { follow } from "./stream.js";
import { maps } from "./map.js";
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
  for (const button of document.querySelectorAll("button.copy[hidden]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      const from = button.dataset.copyFrom;
      await navigator.clipboard.writeText(from ? document.getElementById(from).textContent : button.dataset.copy);
      button.textContent = "copied";
    });
  }
}

let told = () => {};

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = fresh.querySelector("main");
  const open = [...main.querySelectorAll("details")].map((details) => details.open);
  // What somebody works with stays: a map with its pointer, a log that is read, a form being filled in.
  const kept = ["pre.log", ".map", ".graph"];
  for (const what of kept) {
    const [old, other] = [main.querySelector(what), next.querySelector(what)];
    const same = old && other && old.dataset.run === other.dataset.run && old.dataset.names === other.dataset.names;
    if (same && what !== ".graph") other.replaceWith(old);
  }
  const focused = document.activeElement;
  if (focused?.matches("main input, main select, main textarea")) return;
  main.replaceChildren(...next.childNodes);
  main.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? details.open; });
  document.title = fresh.title;
  document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
  age();
  copies();
  readLog();
}

let waiting, refreshed = 0;
function soon() {
  const wait = Math.max(300, refreshed + 2500 - Date.now());
  waiting ??= setTimeout(async () => {
    waiting = undefined;
    refreshed = Date.now();
    await refresh();
  }, wait);
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
      row.textContent = event.to;
    }
  }
  soon();
}

let reading;
async function readLog() {
  const log = document.querySelector("pre.log[data-follow]");
  if (!log || reading === log) return;
  reading = log;
  const decoder = new TextDecoder();
  const answer = await fetch(`/api/v1/runs/${log.dataset.run}/log?follow=true&offset=${log.dataset.length}`);
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !log.isConnected) break;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    const text = decoder.decode(value, { stream: true });
    log.append(text.replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b./g, "").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, ""));
    log.dataset.length = Number(log.dataset.length) + value.length;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  reader.cancel();
  reading = undefined;
  soon();
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  event.preventDefault();
  document.querySelector("input[type=search]")?.focus();
});

age();
setInterval(() => { if (!document.hidden) age(); }, 10000);
copies();
if (main) {
  follow(take);
  readLog();
  told = await maps();
} else {
  await maps();
}
