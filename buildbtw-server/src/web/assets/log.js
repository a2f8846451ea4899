// The log of a run: goes on while the run goes on, chooses lines, and stays small however long it gets.

import { Painter, tellsError } from "./ansi.js";
import { fold, folded, unfold } from "./fold.js";

const MOST = 5000;
// Lines that are put in at once: no more than a browser can do between two pictures.
const AT_ONCE = 400;
const list = document.querySelector("ol.lines[data-run]");

// What came and is not shown yet; the number of the last line that is; how far the server's clock is ahead.
const pending = [];
let number = Number(list?.lastElementChild?.id.slice(1) ?? 0);
let ahead = 0;
let following = false;
const painter = new Painter();

function elapsed() {
  const seconds = Math.max(0, Math.floor((Date.now() + ahead - Number(list.dataset.started)) / 1000));
  return [seconds / 3600, seconds / 60 % 60, seconds % 60].map((part) => String(Math.floor(part)).padStart(2, "0")).join(":");
}

function entry(text, at) {
  number += 1;
  const item = document.createElement("li");
  item.id = `L${number}`;
  const painted = painter.line(text);
  const plain = painted.textContent;
  if (tellsError(plain)) item.className = "error";
  else if (plain.startsWith("==> ")) item.className = "heading";
  const anchor = document.createElement("a");
  anchor.href = `#L${number}`;
  anchor.textContent = number;
  const time = document.createElement("time");
  time.textContent = at;
  item.append(anchor, time, painted);
  return item;
}

function show() {
  // What would be pushed out again at once is only counted.
  const over = pending.length - MOST;
  if (over > 0) {
    number += over;
    pending.splice(0, over);
    list.replaceChildren();
  }
  const at = elapsed();
  const part = document.createDocumentFragment();
  for (const text of pending.splice(0, AT_ONCE)) {
    const item = entry(text, at);
    if (item.className === "heading") fold(item);
    else item.hidden = folded();
    part.append(item);
  }
  list.append(part);
  while (list.childElementCount > MOST) list.firstElementChild.remove();
  if (following) scrollTo({ top: document.body.scrollHeight });
  if (pending.length > 0) setTimeout(show);
}

async function grow() {
  const label = document.querySelector("label.follow");
  const box = label.firstElementChild;
  label.hidden = false;
  following = box.checked = ["", "#end"].includes(location.hash);
  box.addEventListener("change", () => { following = box.checked; });
  let offset = Number(list.dataset.followFrom);
  let rest = "";
  // Bytes come without a gap, over however many connections: a letter may begin in one and end in the next.
  const decoder = new TextDecoder();
  for (let wait = 500; ; wait = Math.min(wait * 2, 10000)) {
    try {
      const answer = await fetch(`/api/v1/runs/${list.dataset.run}/log?follow=true&offset=${offset}`);
      if (!answer.ok) throw new Error(answer.status);
      const date = Date.parse(answer.headers.get("date"));
      if (date) ahead = date - Date.now();
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        wait = 500;
        offset += value.length;
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop();
        if (lines.length === 0) continue;
        document.querySelector("p.nothing")?.remove();
        const idle = pending.length === 0;
        pending.push(...lines);
        if (idle) show();
      }
      const run = await (await fetch(`/api/v1/runs/${list.dataset.run}`)).json();
      if (run.outcome) { location.reload(); return; }
    } catch {
      // The server is away, or the connection broke: from the next byte on, a little later.
    }
    await new Promise((again) => setTimeout(again, wait));
  }
}

function chosenNumbers() {
  const [, from, to] = location.hash.match(/^#L(\d+)(?:-L(\d+))?$/) ?? [];
  return from && [Number(from), Number(to ?? from)];
}

// `#L3` and `#L3-L9` choose lines. Where they are not on this page, they are gone to.
function choose() {
  for (const line of list.querySelectorAll(".chosen")) line.classList.remove("chosen");
  const numbers = chosenNumbers();
  if (!numbers) return;
  const [from, to] = numbers;
  for (let at = from; at <= to && at - from < MOST; at += 1) {
    document.getElementById(`L${at}`)?.classList.add("chosen");
  }
  const first = document.getElementById(`L${from}`);
  if (first) {
    unfold(first);
    first.scrollIntoView({ block: "center" });
  } else if (list.childElementCount > 0 && new URLSearchParams(location.search).get("from") !== String(before(from))) {
    location.replace(`?from=${before(from)}${location.hash}`);
  }
}

// Where to begin to show what leads to a line.
function before(line) {
  return Math.max(1, line - 20);
}

// An address leads to its lines also when the log has grown: it says where the page begins.
function address(hash) {
  const query = new URLSearchParams(location.search);
  if (!query.has("from")) query.set("from", list.firstElementChild.id.slice(1));
  history.replaceState(null, "", `?${query}${hash}`);
  choose();
}

// Times are shown by whoever wants them, also on the next page.
function times() {
  const box = document.getElementById("times");
  try {
    box.checked = localStorage.getItem("log-times") === "true";
    box.addEventListener("change", () => localStorage.setItem("log-times", box.checked));
  } catch {
    // A browser may refuse to keep anything: then they are chosen on each page.
  }
}

if (list) {
  list.classList.add("live");
  for (const heading of list.querySelectorAll(".heading")) fold(heading);
  list.addEventListener("click", (event) => {
    const anchor = event.target.closest("li > a");
    if (!anchor || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = Number(anchor.textContent);
    const [from] = (event.shiftKey && chosenNumbers()) || [to];
    address(from === to ? `#L${to}` : `#L${Math.min(from, to)}-L${Math.max(from, to)}`);
  });
  addEventListener("hashchange", choose);
  times();
  choose();
  if (list.dataset.followFrom !== undefined) grow();
}
