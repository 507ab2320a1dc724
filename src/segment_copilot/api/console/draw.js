// The copilot's components and the charts.
import { h, number, s, table, when } from "./dom.js";

/** One component by its name; what is not known here is named, never guessed. */
export function component(name, props, save) {
  switch (name) {
    case "MetricCard":
      return h("section", { class: "card" }, h("h2", {}, props.title), h("p", { class: "count" }, number(props.value), " ", h("small", {}, props.unit ?? "")), props.note && h("p", { class: "quiet" }, props.note));
    case "SegmentTable":
      return h("section", { class: "card" }, h("h2", {}, props.title), segments(props.title, props.rows), props.truncated && h("p", { class: "quiet" }, `${props.rows.length} of ${props.total}`));
    case "EventVolumeChart":
      return h("section", { class: "card" }, h("h2", {}, props.title), h("p", { class: "quiet small" }, `${props.unit}, ${props.from.slice(0, 10)} to ${props.to.slice(0, 10)}, ${props.timezone}`), bars(props.points, props.unit, props.title));
    case "CreateSegmentCTA":
      return save(props);
    default:
      return h("p", { class: "card note" }, `This console cannot draw ${name}.`);
  }
}

const segments = (caption, rows) =>
  table(caption, [
    ["Segment", (row) => h("a", { href: `#/segments/${row.id}` }, row.name)],
    ["Tier", (row) => row.tier.replace("_", " ")],
    ["Members", (row) => number(row.member_count), { number: true }],
    ["Computed", (row) => when(row.last_computed_at)],
  ], rows);

/** Bars with both axes; a day that is not over is paler and says so. The same numbers stand below as a table. */
export function bars(points, unit, title) {
  if (!points.length) return h("p", { class: "quiet" }, "No data in this range.");
  if (!points.every(({ x }) => DAY.test(x))) return meters(points.map(({ x, y }) => [x, y]), Math.max(...points.map(({ y }) => y)));
  const place = h("div", { class: "chart" });
  let drawn = 0; // pixels: as wide as there is room, so that its letters are as large on a phone as elsewhere
  new ResizeObserver(([{ contentRect: { width } }]) => {
    if (Math.round(width) === drawn || !width) return;
    drawn = Math.round(width);
    place.replaceChildren(chart(points, unit, title, drawn));
  }).observe(place);
  const rows = table(title, [["Day or name", (point) => point.x + (point.partial ? " (a part of it)" : "")], [unit, (point) => number(point.y), { number: true }]], points);
  return h("div", {}, place, points.some(({ partial }) => partial) && h("p", { class: "quiet small" }, "A paler bar is a day of which only a part is counted."), h("details", {}, h("summary", {}, "As a table"), rows));
}

/** Bars of what has words: `[words, number]` below one another, where each has room, the longest bar of `most`. */
export function meters(rows, most) {
  return h("ul", { class: "meters" }, rows.map(([words, value]) => {
    const bar = h("span");
    bar.style.width = `${most ? (100 * value) / most : 0}%`;
    return h("li", {}, h("span", {}, words), h("span", { class: "meter", "aria-hidden": "true" }, bar), h("span", { class: "number" }, number(value)));
  }));
}

function chart(points, unit, title, width) {
  const [height, left, bottom] = [220, 56, 28];
  const top = nice(Math.max(...points.map(({ y }) => y), 1));
  const step = (width - left) / points.length;
  const y = (value) => (height - bottom) * (1 - value / top) + 8;
  const longest = Math.max(...points.map(({ x }) => short(x).length));
  const every = Math.ceil((longest * 7 + 12) / step); // no label runs into the next one
  const ticks = [0, top / 2, top].map((value) => [
    s("line", { x1: left, x2: width, y1: y(value), y2: y(value) }),
    s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
  ]);
  const drawn = points.map(({ x, y: value, partial }, at) => [
    s("rect", { class: partial ? "part" : "bar", x: left + at * step + step * 0.1, width: step * 0.8, y: y(value), height: y(0) - y(value) },
      s("title", {}, `${x}: ${number(value)} ${unit}${partial ? " (a part of the day)" : ""}`)),
    at % every === 0 ? s("text", { x: left + (at + 0.5) * step, y: height - 6, "text-anchor": "middle" }, short(x)) : [],
  ]);
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${points.length} values, at most ${number(Math.max(...points.map((point) => point.y)))} ${unit}` }, ticks, drawn);
}

/** How large the whole audience would be at values around a condition's own, which stands out; `pick(path, value)` takes another one. */
export function near({ neighbours = [], window_neighbours: lengths = [] }, condition = {}, pick) {
  const { type, value, window_days: days, window } = condition;
  const ofWindow = [[["window_days"], days], [["window", "last"], window?.last]];
  const ofValue = [[["value"], value ?? (type === "event_count" ? 1 : undefined)], [["value", "last"], value?.last], ...ofWindow];
  const row = (values, known) => {
    if (values.length < 2) return [];
    const [path, own] = known.find(([, one]) => one !== undefined && values.some((each) => each.value === one)) ?? [];
    const one = ({ value: other, words, matched_users: matched }) => {
      const said = `${words}: ${number(matched)}`;
      if (other === own) return h("strong", {}, said);
      return pick && path ? h("button", { type: "button", class: "plain", onclick: () => pick(path, other) }, said) : h("span", {}, said);
    };
    return h("p", { class: "near small" }, h("span", { class: "quiet" }, "Whole audience at "), values.flatMap((each, at) => [at ? " · " : "", one(each)]));
  };
  return [row(neighbours, ofValue), row(lengths, ofWindow)];
}

const DAY = /^\d{4}-\d\d-\d\d$/;
const short = (day) => day.slice(5);

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((value) => value >= most);
}

/** A small line of how a number went. */
export function line(values, title) {
  if (values.length < 2) return h("span", { class: "quiet" }, "–");
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((value, at) => `${(100 * at) / (values.length - 1)},${22 - (20 * (value - low)) / (high - low || 1)}`);
  return s("svg", { class: "line", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img", "aria-label": `${title}: from ${number(values[0])} to ${number(values.at(-1))}` }, s("polyline", { points: points.join(" ") }));
}
