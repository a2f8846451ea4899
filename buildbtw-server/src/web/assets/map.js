// The wave map: names what is pointed at, leads there, and follows what happens. The server drew it;
// it is drawn anew only where there is less width, and what has changed since.

// Whoever draws the same again makes a browser paint it again.
function shape(path, d) {
  if (path && path.getAttribute("d") !== d) path.setAttribute("d", d);
}

class WaveMap {
  constructor(figure, set) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    // So many cells side by side the server drew.
    this.widest = Number(figure.dataset.columns);
    this.pitch = Number(figure.dataset.pitch);
    this.gap = Number(figure.dataset.gap);
    this.told = figure.querySelector(".told");
    this.names = set.names;
    this.statuses = set.statuses;
    this.places = [];
    this.waves = [];
    let gaps = -1;
    for (const [wave, count] of set.waves) {
      gaps += 1;
      for (let n = 0; n < count; n += 1) {
        this.waves.push(wave);
        this.places.push(this.places.length + gaps);
      }
    }
    this.at = new Map(this.names.map((name, index) => [name, index]));
    this.longest = this.read(this.svg.querySelector(".longest"));
    this.here = document.createElementNS("http://www.w3.org/2000/svg", "path");
    this.here.setAttribute("class", "here");
    this.current = -1;
    this.changed = new Set();
    this.svg.tabIndex = 0;
    this.svg.setAttribute("role", "application");
    this.svg.append(this.here);
    this.svg.addEventListener("pointermove", (event) => this.point(this.under(event)));
    this.svg.addEventListener("pointerleave", () => this.point(-1));
    this.svg.addEventListener("click", (event) => this.open(this.under(event)));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(figure);
    this.resize();
  }

  // The builds whose cells a path of the server's outlines.
  read(path) {
    const byPlace = new Map(this.places.map((place, index) => [place, index]));
    const cells = [...(path?.getAttribute("d") ?? "").matchAll(/M([\d.]+) ([\d.]+)/g)];
    return cells.map(([, x, y]) => byPlace.get(Math.floor(y / this.pitch) * this.widest + Math.floor(x / this.pitch)));
  }

  resize() {
    const columns = Math.max(12, Math.min(this.widest, Math.floor(this.figure.clientWidth / this.pitch)));
    if (columns === this.columns) return;
    this.columns = columns;
    const last = this.places.at(-1) ?? 0;
    const width = Math.min(columns, last + 1) * this.pitch;
    const height = (Math.floor(last / columns) + 1) * this.pitch;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.draw();
  }

  square(index) {
    const place = this.places[index];
    const edge = this.pitch - this.gap;
    const inset = Math.floor(this.gap / 2);
    const x = (place % this.columns) * this.pitch + inset;
    const y = Math.floor(place / this.columns) * this.pitch + inset;
    return `M${x} ${y}h${edge}v${edge}h-${edge}z`;
  }

  // Draws the cells of these statuses, or all.
  draw(only) {
    const parts = new Map();
    for (const status of only ?? new Set(this.statuses)) parts.set(status, []);
    this.statuses.forEach((status, index) => parts.get(status)?.push(this.square(index)));
    const drawn = new Map([...this.svg.querySelectorAll(".cell")].map((path) => [path.classList[1], path]));
    if (!only) for (const [status, path] of drawn) if (!parts.has(status)) path.remove();
    for (const [status, squares] of parts) {
      let path = drawn.get(status);
      if (!path) {
        path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        path.setAttribute("class", `cell ${status}`);
        this.svg.prepend(path);
      }
      if (squares.length === 0) path.remove();
      else shape(path, squares.join(""));
    }
    if (only) return;
    shape(this.svg.querySelector(".longest"), this.longest.map((index) => this.square(index)).join(""));
    if (this.current >= 0) this.here.setAttribute("d", this.square(this.current));
  }

  // Takes in that a build has another status; many are drawn at once.
  set(name, status) {
    const index = this.at.get(name);
    if (index === undefined || this.statuses[index] === status) return;
    this.changed.add(this.statuses[index]).add(status);
    this.statuses[index] = status;
    if (index === this.current) this.point(index);
    this.due ??= setTimeout(() => {
      this.due = undefined;
      this.draw(this.changed);
      this.changed.clear();
    }, 150);
  }

  under(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = Number(this.svg.getAttribute("width")) / box.width;
    const column = Math.floor((event.clientX - box.left) * scale / this.pitch);
    const row = Math.floor((event.clientY - box.top) * scale / this.pitch);
    return this.places.indexOf(row * this.columns + column);
  }

  point(index) {
    this.current = index;
    this.here.setAttribute("d", index < 0 ? "" : this.square(index));
    this.told.textContent = index < 0 ? "" : `${this.names[index]}: ${this.statuses[index].replaceAll("_", " ")}, wave ${this.waves[index]}.`;
  }

  key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Enter") this.open(this.current);
    if (by === undefined) return;
    event.preventDefault();
    const last = this.names.length - 1;
    this.point(Math.min(last, Math.max(0, (this.current < 0 ? 0 : this.current) + by)));
  }

  open(index) {
    if (index < 0) return;
    const [name, pass] = this.names[index].split(":");
    location.href = `${this.figure.dataset.pages}/${encodeURIComponent(name)}/${pass ?? 1}`;
  }
}

// Brings the maps of a page to life; hands back what follows the events of one iteration.
export async function maps() {
  const figures = [...document.querySelectorAll(".map")];
  if (figures.length === 0) return () => {};
  const answer = await fetch(figures[0].dataset.names);
  if (!answer.ok) return () => {};
  const sets = await answer.json();
  const byArchitecture = new Map();
  for (const figure of figures) {
    const set = sets.find((one) => one.architecture === figure.dataset.architecture);
    if (set) byArchitecture.set(set.architecture, new WaveMap(figure, set));
  }
  // Seen in a browser's own tools, and by the benchmark.
  performance.mark("map");
  return (event) => {
    const name = event.pass > 1 ? `${event.pkgbase}:${event.pass}` : event.pkgbase;
    byArchitecture.get(event.architecture)?.set(name, event.to);
  };
}
