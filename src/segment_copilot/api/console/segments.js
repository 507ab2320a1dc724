// Saved segments: the list, and one of them with its members, who entered and left, and its versions.
import { get, post } from "./api.js";
import { explained } from "./definition.js";
import { failure, h, number, paged, table, when, working } from "./dom.js";
import { bars, line } from "./draw.js";

const tier = (segment) => (segment.segment_type === "static" ? "static" : (segment.tier ?? "–").replace("_", " "));

/** What a tier tells: what its conditions look at. */
const TIERS = { dynamic: "dynamic: by traits alone", dynamic_plus: "dynamic plus: by what people did, too", static: "static: a list that was uploaded" };

function kept({ refresh, next_refresh_at: next, last_error: failed, segment_type: type }) {
  if (type === "static") return h("span", { class: "quiet" }, "uploaded list");
  if (failed) return h("span", { class: "bad" }, "failed: ", failed);
  if (refresh.paused_since) return h("span", { class: "note" }, "paused ", when(refresh.paused_since));
  if (refresh.mode === "manual") return h("span", { class: "quiet" }, "by hand");
  return h("span", {}, refresh.every ?? { auto: "automatically" }[refresh.mode] ?? refresh.mode, next ? [", next ", when(next)] : null);
}

export async function list() {
  const trends = await get("/api/analytics/segments/").catch(() => []);
  const byId = new Map(trends.map(({ id, trend }) => [id, trend.map(({ count }) => count)]));
  const query = { order: "name", search: "", limit: 50 };
  const place = h("div");
  const head = (title, order) => h("button", { type: "button", onclick: () => { query.order = query.order === order ? `-${order}` : order; fill(); } }, title, query.order === order ? " ↑" : query.order === `-${order}` ? " ↓" : "");
  async function fill() {
    place.replaceChildren(await paged((cursor) => get("/api/segments/", { ...query, cursor }), (rows) => table("Segments", [
      [head("Segment", "name"), (row) => [h("a", { href: `#/segments/${row.id}` }, row.name), row.is_active ? null : h("span", { class: "quiet" }, " inactive")]],
      ["Who", (row) => row.words ?? h("span", { class: "quiet" }, "no definition yet"), { words: true }],
      ["Tier", tier],
      [head("Members", "member_count"), (row) => number(row.member_count), { number: true }],
      ["Trend", (row) => line(byId.get(row.id) ?? [], `Members of ${row.name}`)],
      ["Updated", kept],
    ], rows, query.search ? "No segment has these words." : "No segment yet: ask for one.")).catch(failure));
  }
  const search = h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); query.search = event.target.elements.search.value; fill(); } },
    h("input", { type: "search", name: "search", placeholder: "Search by name", "aria-label": "Search segments by name" }), h("button", {}, "Search"));
  await fill();
  return h("div", {}, h("h1", {}, "Segments"), search, place);
}

export async function one(id) {
  const segment = await get(`/api/segments/${id}/`);
  const compute = h("button", { type: "button" }, "Compute now");
  compute.addEventListener("click", () => working(compute, async () => {
    const { computation_id: computation } = await post(`/api/segments/${id}/compute/`);
    compute.after(h("span", { class: "quiet", role: "status" }, ` Computation ${computation} is queued; this page shows it once it is done.`));
    for (let left = 60; left; left -= 1) {
      await new Promise((done) => setTimeout(done, 1000));
      const { status, error } = await get(`/api/computations/${computation}/`);
      if (status === "failed") throw new Error(error ?? "The computation failed.");
      if (status === "done" || status === "succeeded" || status === "completed") return dispatchEvent(new HashChangeEvent("hashchange"));
    }
  }));
  const section = (title, work) => {
    const place = h("div", {}, h("p", { class: "quiet" }, "…"));
    work().then((drawn) => place.replaceChildren(drawn), (error) => place.replaceChildren(failure(error)));
    return h("section", {}, h("h2", {}, title), place);
  };
  const page = (path, columns, caption, none) => () => paged((cursor) => get(path, { cursor, limit: 20 }), (rows) => table(caption, columns, rows, none));
  const user = ["User", (row) => h("a", { href: `#/users/${encodeURIComponent(row.user_id)}` }, row.user_id)];
  return h("div", {},
    h("h1", {}, segment.name), segment.description && h("p", {}, segment.description), segment.words && h("p", {}, segment.words),
    h("p", {}, h("span", { class: "count" }, number(segment.member_count)), " members, computed ", when(segment.last_computed_at)),
    h("dl", {}, h("dt", {}, "Tier"), h("dd", {}, TIERS[segment.tier] ?? tier(segment)), h("dt", {}, "Updated"), h("dd", {}, kept(segment)), h("dt", {}, "Version"), h("dd", {}, segment.version)),
    segment.definition && h("div", { class: "row" }, compute),
    segment.definition && section("Conditions", () => explained(segment.definition)),
    section("Members over time", async () => {
      const found = (await get("/api/analytics/segments/")).find((row) => row.id === segment.id);
      return bars((found?.trend ?? []).map(({ day, count }) => ({ x: day, y: count })), "members", `Members of ${segment.name}`);
    }),
    section("Who entered and left", page(`/api/segments/${id}/changes/`, [["When", (row) => when(row.at)], ["Change", (row) => h("span", { class: row.change === "entered" ? "good" : "bad" }, row.change)], user], "Changes", "Nobody entered or left since the first computation.")),
    section("Members", page(`/api/segments/${id}/members/`, [user], "Members", "Nobody is in it, or it was never computed.")),
    section("Versions", page(`/api/segments/${id}/versions/`, [["Version", (row) => row.version], ["Saved", (row) => when(row.created_at)], ["Who", (row) => row.words, { words: true }]], "Versions")));
}
