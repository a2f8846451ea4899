// The neighbourhood of a build: moved by dragging, made larger and smaller by wheel, keys and buttons.
// It stays what the server drew, in a box that scrolls: only its size and the place of the box change.

const LEAST = 0.2, MOST = 3;

// What lies around the drawing in its box, on both sides together.
const MARGIN = 18;

// What somebody looks at is kept when the page is fetched anew.
let kept;

class Graph {
  constructor(box) {
    this.box = box;
    this.svg = box.querySelector("svg");
    this.width = Number(this.svg.getAttribute("width"));
    this.height = Number(this.svg.getAttribute("height"));
    this.scale = 1;
    box.classList.add("live");
    for (const tools of box.parentElement.querySelectorAll(".graph-tools")) {
      tools.hidden = false;
      tools.addEventListener("click", (event) => this.press(event.target.dataset.zoom));
    }
    box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("pointerdown", (event) => this.grab(event));
    // A link is not followed by who only moves the drawing, nor carried away as a link.
    box.addEventListener("click", (event) => { if (this.moved) event.preventDefault(); }, true);
    box.addEventListener("dragstart", (event) => event.preventDefault());
    if (kept?.page === location.pathname) {
      const { scale, left, top } = kept;
      this.zoom(scale, 0, 0);
      [box.scrollLeft, box.scrollTop] = [left, top];
    } else {
      this.middle();
    }
    box.addEventListener("scroll", () => this.keep());
  }

  keep() {
    kept = { page: location.pathname, scale: this.scale, left: this.box.scrollLeft, top: this.box.scrollTop };
  }

  // The build itself comes into the middle of the box.
  middle() {
    const own = this.svg.querySelector(".own")?.getBoundingClientRect();
    if (!own) return;
    const box = this.box.getBoundingClientRect();
    this.box.scrollLeft += own.left + own.width / 2 - box.left - box.width / 2;
    this.box.scrollTop += own.top + own.height / 2 - box.top - box.height / 2;
  }

  // Another size; the point at `x` and `y` of the box stays where it is.
  zoom(scale, x, y) {
    const next = Math.min(MOST, Math.max(LEAST, scale));
    const [left, top] = [(this.box.scrollLeft + x) / this.scale, (this.box.scrollTop + y) / this.scale];
    this.scale = next;
    this.svg.setAttribute("width", Math.round(this.width * next));
    this.svg.setAttribute("height", Math.round(this.height * next));
    this.box.scrollLeft = left * next - x;
    this.box.scrollTop = top * next - y;
    this.keep();
  }

  // The same around the middle of the box.
  press(what) {
    const [x, y] = [this.box.clientWidth / 2, this.box.clientHeight / 2];
    if (what === "in") this.zoom(this.scale * 1.25, x, y);
    if (what === "out") this.zoom(this.scale / 1.25, x, y);
    if (what === "all") this.zoom(Math.min(1, (this.box.clientWidth - MARGIN) / this.width, (this.box.clientHeight - MARGIN) / this.height), x, y);
    if (what === "own") {
      this.zoom(1, x, y);
      this.middle();
    }
  }

  // The wheel scrolls the page, as everywhere, until the drawing is entered or Ctrl is held.
  wheel(event) {
    if (!event.ctrlKey && !this.box.matches(":focus-within")) return;
    event.preventDefault();
    const box = this.box.getBoundingClientRect();
    this.zoom(this.scale * Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const what = { "+": "in", "=": "in", "-": "out", 0: "own", f: "all" }[event.key];
    const step = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] }[event.key];
    if (!what && !step) return;
    event.preventDefault();
    if (what) this.press(what);
    else this.box.scrollBy(...step);
  }

  // A finger scrolls the box by itself.
  grab(event) {
    this.moved = false;
    if (event.pointerType === "touch" || event.button !== 0) return;
    const from = [event.clientX + this.box.scrollLeft, event.clientY + this.box.scrollTop];
    const [x, y] = [event.clientX, event.clientY];
    const move = (event) => {
      if (Math.hypot(event.clientX - x, event.clientY - y) > 4) this.moved = true;
      if (!this.moved) return;
      this.box.classList.add("moving");
      [this.box.scrollLeft, this.box.scrollTop] = [from[0] - event.clientX, from[1] - event.clientY];
    };
    const end = () => {
      removeEventListener("pointermove", move);
      this.box.classList.remove("moving");
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end, { once: true });
    addEventListener("pointercancel", end, { once: true });
  }
}

export function graphs() {
  for (const box of document.querySelectorAll(".graph:not(.live)")) new Graph(box);
}
