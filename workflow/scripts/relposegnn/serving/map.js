// A place seen from above: its images' cameras, and where a photo was taken.
const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 0.08; // of the extent, around what is shown
const REACH = 0.35; // of the extent: photos further outside are not on the whole map
const SYMBOL = 52, STROKE = 11; // pixels: a photo's camera, and the views of the database's
const TICKS = 90; // pixels between lines of the grid, at least
const NEAR = 2.5; // a photo's own view: so many errors in 95 % of the cases to each side
const LEAST_VIEW = 0.02; // metres across

export class PlaceMap {
  constructor(svg, told) {
    this.svg = svg;
    this.axes = told.view.map_from_world;
    this.labels = told.view.labels;
    this.names = told.cameras.names;
    this.cameras = told.cameras.centres_m.map((point) => this.place(point));
    this.ahead = told.cameras.ahead.map((direction) => this.place(direction));
    this.answer = null;
    this.showWhole();
    new ResizeObserver(() => this.draw()).observe(svg);
    svg.addEventListener("wheel", (event) => this.roll(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.drag(event));
  }

  // The map's coordinates, metres: rightwards and towards the top.
  place(point) {
    return this.axes.slice(0, 2).map((axis) => axis[0] * point[0] + axis[1] * point[1] + axis[2] * point[2]);
  }

  show(answer) {
    this.answer = answer;
    this.showWhole();
  }

  // Returns whether the photo is on the map.
  showWhole() {
    const points = [...this.cameras];
    const [low, high] = bounds(points);
    const extent = Math.max(high[0] - low[0], high[1] - low[1], 0.1);
    const spot = this.answer?.pose && this.place(this.answer.pose.centre_m);
    this.outside = Boolean(spot) && spot.some((x, i) => x < low[i] - REACH * extent || x > high[i] + REACH * extent);
    if (spot && !this.outside) points.push(spot);
    this.look(...bounds(points), MARGIN);
  }

  showPhoto() {
    const spot = this.place(this.answer.pose.centre_m);
    const around = NEAR * (this.answer.sigma95_m ?? 0.25);
    this.look(spot.map((x) => x - around), spot.map((x) => x + around), 0);
  }

  look(low, high, margin) {
    const size = low.map((x, i) => high[i] - x);
    const more = 2 * margin * Math.max(...size, 0.1);
    this.middle = low.map((x, i) => (x + high[i]) / 2);
    this.size = size.map((length) => Math.max(length + more, LEAST_VIEW));
    this.draw();
  }

  zoom(factor, pixel = null) {
    const fixed = pixel ? this.metres(pixel) : this.middle;
    if (Math.max(...this.size) * factor < LEAST_VIEW) return;
    this.size = this.size.map((length) => length * factor);
    this.middle = this.middle.map((x, i) => fixed[i] + (x - fixed[i]) * factor);
    this.draw();
  }

  roll(event) {
    event.preventDefault();
    this.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200), [event.offsetX, event.offsetY]);
  }

  drag(event) {
    if (event.pointerType !== "mouse") return; // fingers scroll the page
    const start = [event.clientX, event.clientY], middle = this.middle;
    const move = (now) => {
      this.middle = [middle[0] - (now.clientX - start[0]) / this.scale, middle[1] + (now.clientY - start[1]) / this.scale];
      this.draw();
    };
    const stop = new AbortController();
    window.addEventListener("pointermove", move, { signal: stop.signal });
    window.addEventListener("pointerup", () => stop.abort(), { signal: stop.signal });
  }

  metres([x, y]) {
    return [this.middle[0] + (x - this.width / 2) / this.scale, this.middle[1] - (y - this.height / 2) / this.scale];
  }

  pixels([x, y]) {
    return [this.width / 2 + (x - this.middle[0]) * this.scale, this.height / 2 - (y - this.middle[1]) * this.scale];
  }

  draw() {
    [this.width, this.height] = [this.svg.clientWidth, this.svg.clientHeight];
    if (!this.width || !this.height) return;
    this.scale = Math.min(this.width / this.size[0], this.height / this.size[1]);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    const ground = element("rect", { width: this.width, height: this.height, class: "ground" });
    this.svg.replaceChildren(ground, ...this.grid(), this.database(), ...(this.answer?.pose ? this.photo(this.answer) : []));
  }

  grid() {
    const step = nice(TICKS / this.scale), parts = [], lines = [];
    const [left, top] = this.metres([0, 0]), [right, bottom] = this.metres([this.width, this.height]);
    const told = (value) => `${value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))}`.replace("-", "−");
    for (let n = Math.ceil(left / step); n * step <= right; n++) {
      const [x] = this.pixels([n * step, 0]);
      lines.push(`M${x} 0V${this.height}`);
      if (x > 44 && x < this.width - 60) parts.push(text(x, this.height - 8, told(n * step), { class: "tick", "text-anchor": "middle" }));
    }
    for (let n = Math.ceil(bottom / step); n * step <= top; n++) {
      const [, y] = this.pixels([0, n * step]);
      lines.push(`M0 ${y}H${this.width}`);
      if (y > 40 && y < this.height - 26) parts.push(text(8, y - 4, told(n * step), { class: "tick" }));
    }
    parts.push(text(this.width - 8, this.height - 8, this.labels[0], { class: "label", "text-anchor": "end" }));
    parts.push(text(8, 20, this.labels[1], { class: "label" }));
    return [element("path", { d: lines.join(""), class: "grid" }), ...parts];
  }

  database() {
    const dots = [], views = [];
    this.cameras.forEach((camera, row) => {
      const [x, y] = this.pixels(camera).map(round), [right, up] = this.ahead[row];
      dots.push(`M${x} ${y}h0`);
      views.push(`M${x} ${y}l${round(STROKE * right)} ${round(-STROKE * up)}`);
    });
    return element("g", { class: "database" }, element("path", { d: views.join("") }), element("path", { d: dots.join(""), class: "dots" }));
  }

  photo(answer) {
    const unsure = answer.accepted ? "" : " unsure", parts = [];
    const [x, y] = this.pixels(this.place(answer.pose.centre_m));
    const nearest = this.cameras[this.names.indexOf(answer.nearest)];
    if (nearest) {
      const [cx, cy] = this.pixels(nearest);
      parts.push(element("g", { class: "nearest" }, element("circle", { cx, cy, r: 7 })));
    }
    if (answer.covariance95_m2) {
      const { half, degrees } = ellipse(this.axes, answer.covariance95_m2);
      const shape = { rx: half[0] * this.scale, ry: half[1] * this.scale, transform: `translate(${x} ${y}) rotate(${-degrees})` };
      parts.push(element("g", { class: `ellipse${unsure}` }, element("ellipse", shape)));
    }
    const corner = (side) => { // half of the opening is as wide as the symbol is long
      const turned = answer.pose.rotation.map((row) => side * row[0] + row[2]);
      const [right, up] = this.place(turned);
      return `${round(x + SYMBOL * right)} ${round(y - SYMBOL * up)}`;
    };
    const wedge = element("path", { d: `M${round(x)} ${round(y)}L${corner(-0.5)}L${corner(0.5)}Z` });
    parts.push(element("g", { class: `estimate${unsure}` }, wedge, element("circle", { cx: x, cy: y, r: 5, id: "spot" })));
    return parts;
  }
}

// Half axes, metres, and direction of the ellipse that a covariance (3, 3) makes on the map.
export function ellipse(axes, covariance) {
  const [first, second] = axes;
  const form = (a, b) => a.reduce((sum, x, i) => sum + x * b.reduce((s, z, j) => s + covariance[i][j] * z, 0), 0);
  const [a, b, c] = [form(first, first), form(first, second), form(second, second)];
  const middle = (a + c) / 2, reach = Math.hypot((a - c) / 2, b);
  const half = [middle + reach, middle - reach].map((square) => Math.sqrt(Math.max(square, 0)));
  return { half, degrees: (Math.atan2(2 * b, a - c) * 90) / Math.PI };
}

function bounds(points) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const point of points) {
    for (const i of [0, 1]) [low[i], high[i]] = [Math.min(low[i], point[i]), Math.max(high[i], point[i])];
  }
  return [low, high];
}

function nice(least) { // 1, 2 or 5 times a power of ten
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9));
}

function round(value) {
  return Math.round(10 * value) / 10;
}

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function text(x, y, content, attributes) {
  return element("text", { x, y, ...attributes }, content);
}
