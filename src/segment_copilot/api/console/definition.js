// A definition to read: its conditions as a tree, how many each leaves, its SQL; and to change, with the count beside it.
import { post } from "./api.js";
import { failure, h, number, percent, working } from "./dom.js";
import { meters, near } from "./draw.js";

/** The conditions as a tree. `told` has the words and the count of each, by its pointer; `pick` is given the definition with a value near. */
export function tree(definition, told, pick) {
  const picked = pick && ((pointer, path, value) => pick(changedAt(definition, [...keys(pointer), ...path], value)));
  const byPointer = new Map(told.map((one) => [one.pointer, one]));
  return h("div", {}, group(definition, "/definition", byPointer, picked), definition.exclude?.conditions?.length
    ? [h("p", { class: "logic" }, "BUT NOT"), group(definition.exclude, "/definition/exclude", byPointer, picked)] : null);
}

const keys = (pointer) => pointer.split("/").slice(2); // behind "/definition"

function changedAt(definition, path, value) {
  const changed = structuredClone(definition);
  const last = path.slice(0, -1).reduce((inside, key) => inside[key], changed);
  last[path.at(-1)] = value;
  return changed;
}

function group({ logic, conditions }, pointer, told, pick) {
  const rows = conditions.map((condition, at) => {
    const here = `${pointer}/conditions/${at}`;
    const join = at ? h("span", { class: "logic" }, `${logic} `) : null;
    if (condition.type === "group") return h("li", {}, join, condition.negate ? h("span", { class: "logic" }, "NOT ") : null, group(condition, here, told, pick));
    const one = told.get(here);
    return h("li", {}, join, one?.words ?? condition.type, one?.matched_users === undefined ? null : h("span", { class: "quiet small" }, ` · ${number(one.matched_users)} by itself`), one ? near(one, condition, pick && ((path, value) => pick(here, path, value))) : null);
  });
  return h("ul", { class: "tree" }, rows);
}

/** What each step leaves of all users, as bars that get shorter. */
export function waterfall({ stages, universe, matched_users: matched }) {
  const rows = [["all users", universe], ...stages.map((stage) => [(stage.role === "exclude" ? "not " : "") + stage.words, stage.audience_after])];
  return h("div", {}, meters(rows, universe), h("p", {}, h("strong", {}, number(matched)), ` of ${number(universe)} users (${percent(matched, universe)})`));
}

/** Everything about a definition that the service can say now; `counted` are conditions with neighbours, where a draft brought them. */
export async function explained(definition, counted, pick) {
  const told = await post("/api/segments/explain/", { definition });
  const drawn = h("div", {}, tree(definition, counted ?? told.conditions, pick));
  const more = h("button", { type: "button", class: "plain small", onclick: () => working(more, async () => {
    const { conditions } = await post("/api/segments/preview/", { definition, limit: 0, sensitivity: true });
    drawn.replaceChildren(tree(definition, conditions, pick));
    more.replaceWith(conditions.some((one) => one.neighbours) ? "" : h("span", { class: "quiet small" }, "No condition has a number or a length of time to vary."));
  }) }, "What would other values give?");
  return h("div", {},
    drawn, counted ? null : h("p", {}, more),
    h("p", { class: "logic" }, "HOW IT COMES ABOUT"), waterfall(told),
    (told.warnings ?? []).map((warning) => h("p", { class: "note" }, warning.detail)),
    h("details", {}, h("summary", {}, "SQL"), h("pre", { tabindex: "0" }, told.sql), values(told.params)));
}

const values = (params = {}) => h("p", { class: "quiet small" }, "With ", Object.entries(params).map(([name, value], at) => [at ? ", " : "", h("code", {}, name), ` = ${JSON.stringify(value)}`]));

/** A definition to change, by its numbers or as JSON: `changed` is told each one that holds, with its count; `broken` what is not counted (yet). */
export function editor(definition, { changed, broken, told: drafted }) {
  let current = definition;
  const varied = drafted.some((one) => one.neighbours); // of very many events they are only looked for when asked
  let words = new Map(drafted.map((one) => [`/definition${one.pointer}`, one.words]));
  const fields = h("div");
  const text = h("textarea", { rows: 12, spellcheck: "false", "aria-label": "Definition as JSON" });
  const told = h("p", { "aria-live": "polite", class: "quiet" }, "Change it, and it is counted as you type.");
  const written = () => { text.value = JSON.stringify(current, null, 2); };
  let waiting, asked = 0;
  let captions = []; // beside the numbers: what each is of, as it is counted now
  const caption = () => captions.forEach(([place, pointer]) => { place.textContent = words.has(pointer) ? ` – ${words.get(pointer)}` : ""; });
  text.addEventListener("input", () => later(() => JSON.parse(text.value), listed));
  function later(read, after) {
    asked += 1;
    broken("Counting…");
    clearTimeout(waiting);
    waiting = setTimeout(() => preview(read, after), 400);
  }
  async function preview(read, after) {
    const mine = ++asked;
    try {
      const wanted = read();
      const found = await post("/api/segments/preview/", { definition: wanted, limit: 0, sensitivity: varied });
      if (mine !== asked) return;
      current = wanted;
      words = new Map((found.conditions ?? []).map((one) => [one.pointer, one.words]));
      told.replaceChildren(`Counted: ${number(found.matched_users)} of ${number(found.universe)} users.`);
      after();
      changed(wanted, found);
    } catch (error) {
      if (mine !== asked) return;
      broken("Not counted, and not to be saved: see below what is wrong.");
      element.open = true;
      const where = error.findings?.[0]?.pointer;
      told.replaceChildren(failure(error instanceof SyntaxError ? new Error(`Not JSON yet: ${error.message}`) : error), where ? h("span", { class: "small" }, `at ${where}`) : "");
    }
  }
  function listed() {
    captions = [];
    fields.replaceChildren(...[...numbers(current)].map(field));
    caption();
  }
  function field([path, unit, pointer]) {
    const value = path.reduce((inside, key) => inside?.[key], current) ?? 1;
    const [, amount, letters] = LENGTH.exec(value) ?? [null, value]; // 30, or "30d"
    const input = h("input", { type: "number", step: letters ? "1" : "any", required: true, value: String(amount) });
    input.addEventListener("input", () => later(() => {
      if (input.value === "") throw new Error("Write a number.");
      return changedAt(current, path, letters ? input.value + letters : Number(input.value));
    }, () => { written(); caption(); }));
    const place = h("span", { class: "quiet" });
    captions.push([place, pointer]);
    return h("label", { class: "row small" }, input, h("span", {}, unit, place));
  }
  written();
  listed();
  const element = h("details", {}, h("summary", {}, "Edit"), fields, h("details", {}, h("summary", {}, "As JSON"), text), told);
  return { element, set(wanted) { current = wanted; written(); listed(); broken("Counting…"); return preview(() => wanted, listed); } };
}

const LENGTH = /^(\d+)(mo|[mhdwy])$/; // of time
const LENGTHS = { m: "minutes", h: "hours", d: "days", w: "weeks", mo: "months", y: "years" };
const UNITS = { event_count: "times" };

/** Each number of a definition that a person may want to change: where it stands, its unit, its condition's pointer. */
function* numbers(node, path = []) {
  for (const [at, condition] of (node.conditions ?? []).entries()) {
    const here = [...path, "conditions", String(at)];
    const pointer = `/definition/${here.join("/")}`;
    if (condition.type === "group") { yield* numbers(condition, here); continue; }
    if (condition.type === "event_count" && condition.value === undefined) yield [[...here, "value"], UNITS.event_count, pointer];
    for (const [one, unit] of within(condition, here, condition)) yield [one, unit, pointer];
  }
  if (node.exclude) yield* numbers(node.exclude, [...path, "exclude"]);
}

function* within(value, path, condition) {
  if (typeof value === "number") yield [path, unitOf(path, condition)];
  else if (typeof value === "string" && LENGTH.test(value)) yield [path, LENGTHS[LENGTH.exec(value)[2]]];
  else if (value && typeof value === "object") for (const [key, inside] of Object.entries(value)) if (!key.endsWith("_id")) yield* within(inside, [...path, key], condition);
}

function unitOf(path, { type }) {
  const key = path.findLast((one) => !/^\d+$/.test(one));
  if (key === "window_days") return "days";
  return key === "value" ? (UNITS[type] ?? "value") : key.replaceAll("_", " ");
}
