// The table of scans and the distributions of their measures, drawn from the block of data in the page. No library, no
// network; works from a file.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 100; // rows shown at a time: a table of thousands is slow to lay out
  const RANKS = { failed: 0, skipped: 1, success: 2 };
  const WORDS = { failed: "✗ failed", skipped: "– not done", success: "✓ ok" };
  const NAMES = new Intl.Collator("en", { numeric: true });
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);

  /** An element with attributes and children; texts are never taken for markup. */
  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  function draw(name, attributes = {}) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }
  const pageOf = (scan) => `${scan.sub}.html`;
  const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));

  // The table.
  const keys = {
    sub: (s) => s.sub,
    ses: (s) => s.ses ?? "",
    scan: (s) => s.scan,
    kind: (s) => s.kind,
    status: (s) => RANKS[s.status] ?? 1,
    why: (s) => s.code ?? "",
    score: (s) => s.score ?? null,
    seconds: (s) => s.seconds,
  };
  const state = { key: "status", down: false, first: 0 };
  let chosen = [];
  const body = byId("rows");
  for (const scan of data.scans) {
    scan.text = [scan.sub, scan.ses, scan.scan, scan.code, scan.why, ...(scan.notes ?? [])].join("\n").toLowerCase();
  }

  function choose() {
    const words = byId("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [status, kind] = [byId("status").value, byId("kind").value];
    const fits = (s) =>
      (!status || s.status === status) && (!kind || s.kind === kind) && words.every((word) => s.text.includes(word));
    const of = keys[state.key];
    const compare = (a, b) => (typeof a === "string" ? NAMES.compare(a, b) : a - b);
    const sorted = data.scans.map((scan, place) => [of(scan), place, scan]).filter(([, , scan]) => fits(scan));
    sorted.sort(([a, i], [b, j]) => {
      // What has no value comes last either way.
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      return (state.down ? compare(b, a) : compare(a, b)) || i - j;
    });
    chosen = sorted.map(([, , scan]) => scan);
    state.first = 0;
    show();
  }

  function row(scan) {
    const picture = make("td", { class: "thumb" });
    if (scan.thumb) {
      picture.append(make("img", { src: scan.thumb, alt: "", loading: "lazy", width: "48", height: "48" }));
    }
    const why = make("td", { class: "why" });
    if (scan.code) why.append(make("a", { href: `#${scan.code}` }, scan.code), ` ${scan.why ?? ""}`);
    if (scan.motion) why.append(" ", make("span", { class: "badge warning" }, scan.motion));
    for (const note of scan.notes ?? []) why.append(make("div", { class: "note" }, note));
    return make("tr", {},
      picture,
      make("th", { scope: "row" }, make("a", { href: pageOf(scan) }, scan.sub)),
      make("td", {}, scan.ses ?? ""),
      make("td", { class: "scan" }, scan.scan),
      make("td", {}, scan.kind),
      make("td", {}, make("span", { class: `badge ${scan.status}` }, WORDS[scan.status] ?? scan.status)),
      why,
      make("td", { class: "number" }, scan.score === undefined ? "" : scan.score.toFixed(0),
        ...(scan.partial ? [make("div", { class: "note" }, scan.partial)] : [])),
      make("td", { class: "number" }, scan.seconds.toFixed(1)));
  }

  function show(all = false) {
    const last = all ? chosen.length : Math.min(state.first + PAGE, chosen.length);
    const first = all ? 0 : state.first;
    body.replaceChildren(...chosen.slice(first, last).map(row));
    const range = chosen.length > last - first ? `, ${first + 1} to ${last} shown` : "";
    byId("count").textContent = `${chosen.length} of ${data.scans.length} scans${range}`;
    byId("previous").disabled = first === 0;
    byId("next").disabled = last >= chosen.length;
    byId("pager").hidden = chosen.length <= PAGE;
  }

  for (const button of document.querySelectorAll("#scans th button")) {
    button.addEventListener("click", () => {
      const key = button.dataset.key;
      state.down = state.key === key ? !state.down : false;
      state.key = key;
      for (const head of document.querySelectorAll("#scans th[aria-sort]")) {
        const mine = head.contains(button);
        head.setAttribute("aria-sort", mine ? (state.down ? "descending" : "ascending") : "none");
      }
      choose();
    });
  }
  for (const id of ["text", "status", "kind"]) byId(id).addEventListener("input", choose);
  function turn(by) {
    state.first = Math.max(0, state.first + by);
    show();
    byId("scans").scrollIntoView();
  }
  byId("previous").addEventListener("click", () => turn(-PAGE));
  byId("next").addEventListener("click", () => turn(PAGE));

  // The distributions: a dot for each scan, stacked where they meet; one dot is marked and is a link.
  const [WIDTH, HEIGHT, DOT] = [320, 76, 4];

  function plot(figure, measure) {
    const values = [...measure.values].sort((a, b) => a[1] - b[1]);
    const [low, high] = [values[0][1], values[values.length - 1][1]];
    const column = (value) => Math.round((high > low ? (value - low) / (high - low) : 0.5) * ((WIDTH - 16) / DOT));
    const heights = new Map();
    const dots = values.map(([place, value]) => {
      const at = column(value);
      const level = heights.get(at) ?? 0;
      heights.set(at, level + 1);
      return { scan: data.scans[place], value, x: 8 + at * DOT, level };
    });
    const step = Math.min(DOT, (HEIGHT - 12) / Math.max(...heights.values()));
    for (const dot of dots) dot.y = HEIGHT - 8 - dot.level * step;
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "dots" });
    // The lower and the upper middle are one value of an odd number.
    const [lower, upper] = [Math.floor((dots.length - 1) / 2), Math.floor(dots.length / 2)].map((at) => dots[at]);
    svg.append(
      draw("path", { class: "axis", d: `M4 ${HEIGHT - 4}H${WIDTH - 4}M${(lower.x + upper.x) / 2} 2V${HEIGHT - 4}` }),
      // Lines of no length with round ends are dots, in one element however many they are.
      draw("path", { class: "all", d: dots.map((dot) => `M${dot.x} ${dot.y.toFixed(1)}h0`).join("") }),
    );
    const mark = draw("a", { class: "mark" });
    const circle = draw("circle", { r: 4.5 });
    const title = draw("title");
    // The whole drawing is the link of the dot nearest to the pointer, so that nobody has to hit one.
    mark.append(title, draw("rect", { width: WIDTH, height: HEIGHT }), circle);
    svg.append(mark);
    const told = make("p", { class: "told", "aria-hidden": "true" });
    const ends = make("p", { class: "ends" }, make("span", {}, number(low)),
      make("span", {}, `median ${number((lower.value + upper.value) / 2)}`), make("span", {}, number(high)));
    figure.append(svg, ends, told);

    let current = Math.floor(dots.length / 2);
    function move(to) {
      current = Math.min(Math.max(to, 0), dots.length - 1);
      const { scan, value, x, y } = dots[current];
      const text = `${scan.scan}: ${measure.name} ${number(value)}${measure.unit ? ` ${measure.unit}` : ""}, ` +
        `${current + 1} of ${dots.length} from the lowest`;
      mark.setAttribute("href", pageOf(scan));
      mark.setAttribute("aria-label", text);
      title.textContent = text;
      told.textContent = text;
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", y);
    }
    move(current);
    told.textContent = "\u00a0";
    mark.addEventListener("keydown", (event) => {
      const targets = { ArrowLeft: current - 1, ArrowRight: current + 1, ArrowDown: current - 1, ArrowUp: current + 1,
        PageDown: current - 20, PageUp: current + 20, Home: 0, End: dots.length - 1 };
      if (event.key in targets) {
        event.preventDefault();
        move(targets[event.key]);
      }
    });
    mark.addEventListener("focus", () => move(current));
    const nearest = (event) => {
      const box = svg.getBoundingClientRect();
      const [x, y] = [((event.clientX - box.left) / box.width) * WIDTH, ((event.clientY - box.top) / box.height) * HEIGHT];
      const far = (dot) => (dot.x - x) ** 2 + (dot.y - y) ** 2;
      move(dots.reduce((best, dot, i) => (far(dot) < far(dots[best]) ? i : best), 0));
    };
    for (const event of ["pointermove", "pointerdown"]) svg.addEventListener(event, nearest);
  }

  const waiting = new Map();
  const watch = new IntersectionObserver((entries) => entries.filter((e) => e.isIntersecting).forEach((e) => begin(e.target)),
    { rootMargin: "300px" });
  function begin(figure) {
    const measure = waiting.get(figure);
    watch.unobserve(figure);
    if (waiting.delete(figure)) plot(figure, measure);
  }
  for (const kind of new Set(data.measures.map((measure) => measure.kind))) {
    const grid = make("div", { class: "plots" });
    for (const measure of data.measures.filter((m) => m.kind === kind)) {
      const unit = measure.unit ? ` (${measure.unit})` : "";
      const figure = make("figure", { "data-measure": `${kind} ${measure.name}` },
        make("figcaption", {}, make("strong", {}, `${measure.name}${unit}`), ` ${measure.about}`));
      waiting.set(figure, measure);
      watch.observe(figure);
      grid.append(figure);
    }
    byId("distributions").append(make("h3", {}, kind), grid);
  }

  // On paper there is no scrolling and no next page.
  addEventListener("beforeprint", () => {
    [...waiting.keys()].forEach(begin);
    show(true);
  });
  addEventListener("afterprint", () => show());
  choose();
})();
