// A definition to read: its conditions as a tree, how many each leaves, its SQL; and to change, with the count beside it.
import { post } from "./api.js";
import { failure, h, number, percent, working } from "./dom.js";
import { meters, near } from "./draw.js";

/** The conditions as a tree. `told` has the words and the count of each, by its pointer. */
export function tree(definition, told) {
  const byPointer = new Map(told.map((one) => [one.pointer, one]));
  return h("div", {}, group(definition, "/definition", byPointer), definition.exclude?.conditions?.length
    ? [h("p", { class: "logic" }, "BUT NOT"), group(definition.exclude, "/definition/exclude", byPointer)] : null);
}

function group({ logic, conditions }, pointer, told) {
  const rows = conditions.map((condition, at) => {
    const here = `${pointer}/conditions/${at}`;
    const join = at ? h("span", { class: "logic" }, `${logic} `) : null;
    if (condition.type === "group") return h("li", {}, join, condition.negate ? h("span", { class: "logic" }, "NOT ") : null, group(condition, here, told));
    const one = told.get(here);
    return h("li", {}, join, one?.words ?? condition.type, one?.matched_users === undefined ? null : h("span", { class: "quiet small" }, ` · ${number(one.matched_users)} by itself`), one ? near(one, condition) : null);
  });
  return h("ul", { class: "tree" }, rows);
}

/** What each step leaves of all users, as bars that get shorter. */
export function waterfall({ stages, universe, matched_users: matched }) {
  const rows = [["all users", universe], ...stages.map((stage) => [(stage.role === "exclude" ? "not " : "") + stage.words, stage.audience_after])];
  return h("div", {}, meters(rows, universe), h("p", {}, h("strong", {}, number(matched)), ` of ${number(universe)} users (${percent(matched, universe)})`));
}

/** Everything about a definition that the service can say now; `counted` are conditions with neighbours, where a draft brought them. */
export async function explained(definition, counted) {
  const told = await post("/api/segments/explain/", { definition });
  const drawn = h("div", {}, tree(definition, counted ?? told.conditions));
  const more = h("button", { type: "button", class: "plain small", onclick: () => working(more, async () => {
    const { conditions } = await post("/api/segments/preview/", { definition, limit: 0, sensitivity: true });
    drawn.replaceChildren(tree(definition, conditions));
    more.replaceWith(conditions.some((one) => one.neighbours) ? "" : h("span", { class: "quiet small" }, "No condition has a number or a length of time to vary."));
  }) }, "What would other values give?");
  return h("div", {},
    drawn, counted ? null : h("p", {}, more),
    h("p", { class: "logic" }, "HOW IT COMES ABOUT"), waterfall(told),
    (told.warnings ?? []).map((warning) => h("p", { class: "note" }, warning.detail)),
    h("details", {}, h("summary", {}, "SQL"), h("pre", { tabindex: "0" }, told.sql)));
}

/** A definition as JSON to change; `changed` is told each one that holds, with its count. */
export function editor(definition, changed) {
  const text = h("textarea", { rows: 12, spellcheck: "false", "aria-label": "Definition as JSON" });
  text.value = JSON.stringify(definition, null, 2);
  const told = h("p", { "aria-live": "polite", class: "quiet" }, "Change it, and it is counted as you type.");
  let waiting, asked = 0;
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(preview, 400);
  });
  async function preview() {
    const mine = ++asked;
    try {
      const wanted = JSON.parse(text.value);
      const found = await post("/api/segments/preview/", { definition: wanted });
      if (mine !== asked) return;
      told.replaceChildren(found.words ?? "", ` ${number(found.matched_users)} of ${number(found.universe)} users.`);
      changed(wanted, found);
    } catch (error) {
      if (mine !== asked) return;
      const where = error.findings?.[0]?.pointer;
      told.replaceChildren(failure(error instanceof SyntaxError ? new Error(`Not JSON yet: ${error.message}`) : error), where ? h("span", { class: "small" }, `at ${where}`) : "");
    }
  }
  return h("details", {}, h("summary", {}, "Edit"), text, told);
}
