// Where members are sent, and what came of it.
import { get } from "./api.js";
import { failure, h, number, paged, table, when } from "./dom.js";

export async function list() {
  const place = await paged((cursor) => get("/api/activations/", { cursor, limit: 25 }), (rows) =>
    rows.length ? h("div", {}, rows.map(card)) : h("p", { class: "quiet" }, "No activation yet. POST /api/activations/ makes one."));
  return h("div", {}, h("h1", {}, "Activations"), place);
}

function card(activation) {
  const place = h("div");
  const details = h("details", { ontoggle: async () => {
    if (!details.open || place.childElementCount) return;
    place.replaceChildren(await deliveries(activation.id).catch(failure));
  } }, h("summary", {}, "Deliveries"), place);
  const state = { active: "good", failed: "bad", paused: "note" }[activation.status] ?? "quiet";
  return h("section", { class: "card" }, h("h2", {}, activation.connector_type, " ← ", h("a", { href: `#/segments/${activation.segment}` }, activation.segment_name)),
    h("p", {}, h("span", { class: state }, activation.status), ", last synced ", when(activation.last_synced_at)),
    activation.last_error && h("p", { class: "bad" }, activation.last_error), details);
}

const deliveries = (id) =>
  paged((cursor) => get(`/api/activations/${id}/deliveries/`, { cursor, limit: 20 }), (rows) => table("Deliveries", [
    ["Asked for", (row) => when(row.created_at)], ["Status", (row) => row.status], ["Entered", (row) => number(row.entered), { number: true }],
    ["Left", (row) => number(row.left), { number: true }], ["Rejected", (row) => number(row.rejected), { number: true }],
    ["Attempts", (row) => number(row.attempts), { number: true }], ["Error", (row) => row.error ?? "", { words: true }],
  ], rows, "Nothing was sent yet."));
