// Event types: what is declared and what is really in the data, told apart.
import { get } from "./api.js";
import { h, number, paged, table, when } from "./dom.js";

export async function list() {
  const place = await paged((cursor) => get("/api/catalog/events/", { cursor, limit: 25 }), (rows) =>
    rows.length ? h("div", {}, rows.map(card)) : h("p", { class: "quiet" }, "No event was sent yet."));
  return h("div", {}, h("h1", {}, "Events"), place);
}

function card(event) {
  const state = event.declared ? (event.observed ? "declared and seen" : "declared, never seen") : "seen, not declared";
  return h("details", { class: "card" }, h("summary", {}, event.name, h("span", { class: "quiet" }, ` ${number(event.event_count)}, ${state}${event.strict ? ", strict" : ""}`)),
    event.description && h("p", {}, event.description), h("p", { class: "quiet small" }, "Last seen ", when(event.last_seen_at)),
    table(`Properties of ${event.name}`, [
      ["Property", (row) => row.name], ["Type", (row) => row.types.join(" or ")],
      ["Seen", (row) => (row.declared ? (row.observed ? "as declared" : "never") : "not declared")],
      ["Values", (row) => row.sample_values.slice(0, 5).map((value) => JSON.stringify(value)).join(", "), { words: true }],
      ["Description", (row) => row.description, { words: true }],
    ], event.properties, "No properties."));
}
