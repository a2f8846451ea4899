// The log of a run: goes on while the run goes on, chooses lines, and stays small however long it gets.

const MOST = 5000;
const list = document.querySelector("ol.lines");

const LOOKS = { 1: "b", 2: "f", 4: "u" };
let looks = [];

// The same classes as the server's, from the same escapes; everything else that commands a terminal
// is left out, and marks that turn the direction of writing are shown as what they are not.
function paint(line) {
  const span = document.createElement("span");
  const text = line.replace(/\r+$/, "").split("\r").at(-1)
    .replace(/\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b[^[\]]/g, "");
  for (const [, codes, plain] of text.matchAll(/\x1b\[([0-9;:]*)m|([^\x1b]+)|\x1b/g)) {
    if (codes !== undefined) choose(codes);
    if (!plain) continue;
    const shown = plain.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "").replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
    if (!shown) continue;
    const part = document.createElement("span");
    part.className = looks.join(" ");
    part.textContent = shown;
    span.append(part);
  }
  return span;
}

function choose(codes) {
  for (const code of codes.split(/[;:]/).map(Number)) {
    if (code === 0) looks = [];
    else if (LOOKS[code]) looks.push(LOOKS[code]);
    else if (code === 39 || (code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
      looks = looks.filter((look) => !look.startsWith("c"));
      if (code !== 39) looks.push(`c${code < 90 ? code - 30 : code - 82}`);
    }
  }
}

function append(text) {
  const number = Number(list.lastElementChild?.id.slice(1) ?? 0) + 1;
  const item = document.createElement("li");
  item.id = `L${number}`;
  const painted = paint(text);
  const plain = painted.textContent;
  if (/^\s*(==> ERROR:|error:|fatal error:|FAIL(ED)?:|not ok )|: (fatal )?error:/.test(plain)) item.className = "error";
  else if (plain.startsWith("==> ")) item.className = "heading";
  const anchor = document.createElement("a");
  anchor.href = `#L${number}`;
  anchor.textContent = number;
  item.append(anchor, painted);
  list.append(item);
  if (item.className === "heading") fold(item);
  else item.hidden = newest?.getAttribute("aria-expanded") === "false";
}

async function grow() {
  const follow = document.querySelector("label.follow");
  follow.hidden = false;
  let offset = Number(list.dataset.followFrom);
  let rest = "";
  // Bytes come without a gap, over however many connections: a letter may begin in one and end in the next.
  const decoder = new TextDecoder();
  for (let wait = 500; ; wait = Math.min(wait * 2, 10000)) {
    try {
      const answer = await fetch(`/api/v1/runs/${list.dataset.run}/log?follow=true&offset=${offset}`);
      if (!answer.ok) throw new Error(answer.status);
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        wait = 500;
        offset += value.length;
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop();
        for (const line of lines) append(line);
        while (list.childElementCount > MOST) list.firstElementChild.remove();
        if (follow.firstElementChild.checked) scrollTo({ top: document.body.scrollHeight });
      }
      const run = await (await fetch(`/api/v1/runs/${list.dataset.run}`)).json();
      if (run.outcome) { location.reload(); return; }
    } catch {
      // The server is away, or the connection broke: from the next byte on, a little later.
    }
    await new Promise((again) => setTimeout(again, wait));
  }
}

// `#L3-L9` chooses lines; a click with Shift goes on from the line chosen before.
function chosen() {
  const [, from, to] = location.hash.match(/^#L(\d+)(?:-L(\d+))?$/) ?? [];
  for (const line of list.querySelectorAll(".chosen")) line.classList.remove("chosen");
  if (!to) return;
  for (let number = Number(from); number <= Number(to); number += 1) {
    document.getElementById(`L${number}`)?.classList.add("chosen");
  }
  document.getElementById(`L${from}`)?.scrollIntoView({ block: "center" });
}

// makepkg's headings fold what follows, up to the next one.
let newest;
function fold(heading) {
  const button = document.createElement("button");
  newest = button;
  button.type = "button";
  button.className = "fold";
  const turn = (open) => {
    button.textContent = open ? "▾" : "▸";
    button.setAttribute("aria-expanded", open);
    button.setAttribute("aria-label", `Lines below ${heading.querySelector("span").textContent}`);
    for (let line = heading.nextElementSibling; line && !line.classList.contains("heading"); line = line.nextElementSibling) {
      line.hidden = !open;
    }
  };
  button.addEventListener("click", () => turn(button.getAttribute("aria-expanded") !== "true"));
  heading.querySelector("a").after(button);
  turn(true);
}

if (list) {
  for (const heading of list.querySelectorAll(".heading")) fold(heading);
  list.addEventListener("click", (event) => {
    const anchor = event.target.closest("li > a");
    const [, before] = location.hash.match(/^#L(\d+)/) ?? [];
    if (!anchor || !event.shiftKey || !before) return;
    event.preventDefault();
    const numbers = [Number(before), Number(anchor.textContent)].sort((one, other) => one - other);
    location.hash = `#L${numbers[0]}-L${numbers[1]}`;
  });
  addEventListener("hashchange", chosen);
  chosen();
  if (list.dataset.followFrom !== undefined) grow();
}
