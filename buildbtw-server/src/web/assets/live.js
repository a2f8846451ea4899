// Keeps a page true while it is looked at: events say when something changed, and the page is
// fetched again and its main part replaced; a running log grows by what came since.

const main = document.querySelector("main[data-live]");

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = [...main.querySelectorAll("details")].map((details) => details.open);
  const next = fresh.querySelector("main");
  const log = main.querySelector("pre.log");
  const freshLog = next.querySelector("pre.log");
  // The log that is there may be scrolled or selected; it stays while it is of the same run.
  if (log && freshLog && log.dataset.run === freshLog.dataset.run) {
    freshLog.replaceWith(log);
  }
  main.replaceChildren(...next.childNodes);
  main.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? false; });
  document.title = fresh.title;
  follow();
}

let waiting;
function soon() {
  waiting ??= setTimeout(() => { waiting = undefined; refresh(); }, 400);
}

function plain(text) {
  return text.replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b./g, "").replace(/[^\n\t\x20-\x7e\u00a0-\uffff]/g, "");
}

let following;
async function follow() {
  const log = document.querySelector("pre.log[data-follow]");
  if (!log || following === log) return;
  following = log;
  const decoder = new TextDecoder();
  const answer = await fetch(`/api/v1/runs/${log.dataset.run}/log?follow=true&offset=${log.dataset.length}`);
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !log.isConnected) break;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.append(plain(decoder.decode(value, { stream: true })));
    log.dataset.length = Number(log.dataset.length) + value.length;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  reader.cancel();
  following = undefined;
  soon();
}

if (main) {
  const query = new URLSearchParams();
  if (main.dataset.live) query.set("namespace", main.dataset.live);
  if (main.dataset.after) query.set("after", main.dataset.after);
  const source = new EventSource(`/api/v1/events?${query}`);
  source.onmessage = soon;
  source.addEventListener("bye", () => source.close());
  follow();
}
