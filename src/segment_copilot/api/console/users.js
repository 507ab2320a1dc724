// People: found, and one of them with traits, segments (and why), and what they did.
import { get } from "./api.js";
import { failure, h, number, paged, table, when } from "./dom.js";

export async function list() {
  const place = h("div");
  async function fill(q) {
    place.replaceChildren(await paged((cursor) => get("/api/explorer/users/", { q, cursor, limit: 25 }), (rows) => table("Users", [
      ["User", (row) => h("a", { href: `#/users/${encodeURIComponent(row.user_id)}` }, row.user_id)],
      ["Events", (row) => number(row.event_count), { number: true }],
      ["First seen", (row) => when(row.first_seen)], ["Last seen", (row) => when(row.last_seen)],
    ], rows, "Nobody has this in their id.")).catch(failure));
  }
  const search = h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); fill(event.target.elements.q.value); } },
    h("input", { type: "search", name: "q", placeholder: "A user's id, or a part of it", "aria-label": "Search users by id" }), h("button", {}, "Search"));
  await fill("");
  return h("div", {}, h("h1", {}, "Users"), search, place);
}

export async function one(id) {
  const path = `/api/explorer/users/${encodeURIComponent(id)}/`;
  const [user, segments] = await Promise.all([get(path), get(`${path}segments/`)]);
  const traits = Object.entries(user.properties).sort().flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, said(value))]);
  const events = await paged((cursor) => get(`${path}events/`, { cursor, limit: 25 }), (rows) => table("Events", [
    ["When", (row) => when(row.occurred_at)], ["Event", (row) => row.event_type],
    ["Payload", (row) => Object.entries(row.payload).map(([name, value]) => `${name}: ${said(value)}`).join(", "), { words: true }],
  ], rows, "No event."));
  return h("div", {}, h("h1", {}, user.user_id),
    h("p", {}, `${number(user.event_count)} events of ${number(user.event_type_count)} types, first seen `, when(user.first_seen), ", last seen ", when(user.last_seen)),
    h("h2", {}, "Traits"), traits.length ? h("dl", {}, traits) : h("p", { class: "quiet" }, "No traits."),
    h("h2", {}, "Segments"), segments.length ? segments.map((segment) => why(path, segment)) : h("p", { class: "quiet" }, "In no segment."), whyNot(path, segments),
    h("h2", {}, "What they did"), events);
}

/** Why a user is in a segment, condition by condition; what is said once it was unfolded. */
function why(path, { segment_id: id, segment_name: name }) {
  const place = h("div");
  const details = h("details", { ontoggle: async () => {
    if (details.open && !place.childElementCount) place.replaceChildren(await because(path, id));
  } }, h("summary", {}, `Why in ${name}`), place, h("a", { href: `#/segments/${id}`, class: "small" }, "Open the segment"));
  return details;
}

async function because(path, id) {
  const found = await get(`${path}segments/${id}/explain/`).catch((error) => error);
  if (found instanceof Error) return failure(found);
  return h("ul", { class: "tree" }, found.map(({ type, label, matches, pointer, actual_value: actual }) => {
    const out = pointer.startsWith("/definition/exclude"); // who is left out has to match nothing of it
    const measured = actual === null || actual === undefined || typeof actual === "boolean" ? null : `${said(actual)}${type === "recency" ? " days" : ""}`;
    return h("li", {}, h("span", { class: matches !== out ? "good" : "bad" }, matches !== out ? "✓ " : "✗ "), out && h("span", { class: "logic" }, "NOT "), label, measured && h("span", { class: "quiet" }, ` (here: ${measured})`));
  }));
}

/** The segments that a user is not in, to ask what is missing. */
function whyNot(path, inside) {
  const place = h("div", { "aria-live": "polite" });
  const chosen = h("select", { "aria-label": "Segment", onchange: async () => {
    const id = chosen.value;
    const drawn = id ? await because(path, id) : "";
    if (id === chosen.value) place.replaceChildren(drawn);
  } }, h("option", { value: "" }, "Choose a segment"));
  const details = h("details", { ontoggle: async () => {
    if (!details.open || chosen.options.length > 1) return;
    const { results } = await get("/api/segments/", { order: "name", limit: 200 }).catch((error) => (place.replaceChildren(failure(error)), { results: [] }));
    const others = results.filter(({ id, definition }) => definition && !inside.some((one) => one.segment_id === id));
    chosen.append(...others.map(({ id, name }) => h("option", { value: id }, name)));
  } }, h("summary", {}, "Why not in another one?"), chosen, place);
  return details;
}

const said = (value) => Array.isArray(value) ? value.map(said).join(", ") : (typeof value === "string" ? value : JSON.stringify(typeof value === "number" ? Math.round(value * 100) / 100 : value));
