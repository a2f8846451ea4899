// One stream of events for all tabs of a browser: the tab that holds the lock reads it and passes on
// what it says. A hidden tab lets go, so that somebody who looks reads; who comes late reads anew.

const channel = new BroadcastChannel("buildbtw-events");
const listeners = new Set();
let last = Number(document.querySelector("main")?.dataset.after ?? 0);

// Says above the content, in all tabs, whether it stands still because nothing can be heard.
function stale(is, told = false) {
  if (!told) channel.postMessage({ stale: is });
  document.querySelector("p.stale").hidden = !is;
}

function tell(event) {
  if (event.stale !== undefined) return stale(event.stale, true);
  if (event.seq <= last) return;
  last = event.seq;
  for (const listener of listeners) listener(event);
}

channel.onmessage = (message) => tell(message.data);

// Reads until the tab is hidden or the page goes away.
function read() {
  return new Promise((done) => {
    const source = new EventSource(`/api/v1/events?after=${last}`);
    const end = () => {
      source.close();
      document.removeEventListener("visibilitychange", hidden);
      removeEventListener("pagehide", end);
      done();
    };
    const hidden = () => { if (document.hidden) end(); };
    document.addEventListener("visibilitychange", hidden);
    addEventListener("pagehide", end);
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      channel.postMessage(event);
      tell(event);
    };
    // The server stops in order: the browser asks again by itself when it is back.
    source.addEventListener("bye", () => source.close() || setTimeout(end, 3000));
    source.onopen = () => stale(false);
    // A connection that broke is made again by the browser, but an answer that is none (a proxy says
    // 502 while the server is away) ends the source for good: then it is for us to ask again.
    source.onerror = () => {
      stale(true);
      if (source.readyState === EventSource.CLOSED) setTimeout(end, 2000);
    };
  });
}

async function run() {
  for (;;) {
    if (document.hidden) {
      await new Promise((shown) => document.addEventListener("visibilitychange", shown, { once: true }));
      continue;
    }
    if (navigator.locks) await navigator.locks.request("buildbtw-events", read);
    else await read();
  }
}

// Calls back with every event from the one on that the page was made at.
export function follow(listener) {
  listeners.add(listener);
  if (listeners.size === 1) run();
}
