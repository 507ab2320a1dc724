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
    h("h2", {}, "Segments"), segments.length ? segments.map((segment) => why(path, segment)) : h("p", { class: "quiet" }, "In no segment."),
    h("h2", {}, "What they did"), events);
}

function why(path, { segment_id: id, segment_name: name }) {
  const place = h("div");
  const details = h("details", { ontoggle: async () => {
    if (!details.open || place.childElementCount) return;
    const found = await get(`${path}segments/${id}/explain/`).catch((error) => error);
    place.replaceChildren(found instanceof Error ? failure(found) : h("ul", { class: "tree" }, found.map(({ label, matches, actual_value: actual }) =>
      h("li", {}, h("span", { class: matches ? "good" : "bad" }, matches ? "✓ " : "✗ "), label, actual === null || actual === undefined ? null : h("span", { class: "quiet" }, ` (here: ${said(actual)})`)))));
  } }, h("summary", {}, `Why in ${name}`), place, h("a", { href: `#/segments/${id}`, class: "small" }, "Open the segment"));
  return details;
}

const said = (value) => (typeof value === "string" ? value : JSON.stringify(value));
