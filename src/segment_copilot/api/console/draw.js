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
  const [width, height, left, bottom] = [640, 220, 56, 28];
  const top = nice(Math.max(...points.map(({ y }) => y), 1));
  const step = (width - left) / points.length;
  const y = (value) => (height - bottom) * (1 - value / top) + 8;
  const every = Math.ceil(points.length / 8);
  const ticks = [0, top / 2, top].map((value) => [
    s("line", { x1: left, x2: width, y1: y(value), y2: y(value) }),
    s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
  ]);
  const drawn = points.map(({ x, y: value, partial }, at) => [
    s("rect", { class: partial ? "part" : "bar", x: left + at * step + step * 0.1, width: step * 0.8, y: y(value), height: y(0) - y(value) },
      s("title", {}, `${x}: ${number(value)} ${unit}${partial ? " (a part of the day)" : ""}`)),
    at % every === 0 ? s("text", { x: left + (at + 0.5) * step, y: height - 6, "text-anchor": "middle" }, short(x)) : [],
  ]);
  const chart = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${points.length} values, at most ${number(Math.max(...points.map((point) => point.y)))} ${unit}` }, ticks, drawn);
  const rows = table(title, [["Day or name", (point) => point.x + (point.partial ? " (a part of it)" : "")], [unit, (point) => number(point.y), { number: true }]], points);
  return h("div", {}, chart, points.some(({ partial }) => partial) && h("p", { class: "quiet small" }, "A paler bar is a day of which only a part is counted."), h("details", {}, h("summary", {}, "As a table"), rows));
}

/** How large the whole audience would be at values around a condition's own, which stands out; nothing where none were asked. */
export function near({ neighbours = [], window_neighbours: lengths = [] }, { value, window_days: days, window } = {}) {
  const row = (values, own) => values.length < 2 ? [] : h("p", { class: "near small" }, h("span", { class: "quiet" }, "Whole audience at "),
    values.flatMap(({ value: one, words, matched_users: matched }, at) => [at ? " · " : "", h(one === own ? "strong" : "span", {}, `${words}: ${number(matched)}`)]));
  const first = (values, known) => known.find((one) => values.some((each) => each.value === one));
  const ofWindow = [days, window?.last];
  return [row(neighbours, first(neighbours, [value, value?.last, ...ofWindow])), row(lengths, first(lengths, ofWindow))];
}

const short = (x) => (/^\d{4}-\d\d-\d\d$/.test(x) ? x.slice(5) : x.length > 12 ? `${x.slice(0, 11)}…` : x);

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
