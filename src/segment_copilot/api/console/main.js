// Routes, and the credential. Everything else stands in the file of its view.
import * as activations from "./activations.js";
import { credential, get, keep } from "./api.js";
import * as ask from "./ask.js";
import { failure, h } from "./dom.js";
import * as events from "./events.js";
import * as segments from "./segments.js";
import * as users from "./users.js";

const VIEWS = [
  ["ask", "Ask", ask.view],
  ["segments", "Segments", segments.list, segments.one],
  ["users", "Users", users.list, users.one],
  ["activations", "Activations", activations.list],
  ["events", "Events", events.list],
];
const view = document.getElementById("view");
const nav = document.getElementById("nav");
let shown = 0;

async function show() {
  const [, name = "ask", id] = location.hash.split("/");
  const [path, title, list, one] = VIEWS.find(([path]) => path === name) ?? VIEWS[0];
  nav.replaceChildren(...VIEWS.map(([to, label]) => h("a", { href: `#/${to}`, "aria-current": to === path && "page" }, label)));
  document.title = `${title} · segment-copilot`;
  if (!credential()) return view.replaceChildren(enter());
  const mine = ++shown;
  if (path !== "ask") view.replaceChildren(h("p", { class: "quiet", role: "status" }, "Loading…"));
  try {
    const drawn = await (id && one ? one(decodeURIComponent(id)) : list());
    if (mine === shown) view.replaceChildren(drawn);
  } catch (error) {
    if (mine === shown) view.replaceChildren(h("h1", {}, title), failure(error), error.status === 401 ? enter() : "");
  }
}

function enter() {
  const field = h("input", { type: "password", name: "key", "aria-label": "Key or token", autocomplete: "off", placeholder: "sk_…", required: true });
  const told = h("div");
  return h("form", { class: "card", onsubmit: async (event) => {
    event.preventDefault();
    keep(field.value);
    ask.forget();
    try {
      await get("/api/segments/", { limit: 1 });
      show();
    } catch (error) {
      keep("");
      told.replaceChildren(failure(error));
    }
  } }, h("h1", {}, "A key"), h("p", {}, "Paste a key of yours (segment-copilot keys create), or a token of a session. It is kept for as long as this tab is open, and goes to this service only."),
    h("div", { class: "row" }, field, h("button", { class: "main" }, "Go on")), told);
}

document.getElementById("credential").addEventListener("click", () => {
  keep("");
  ask.forget();
  show();
});
const given = new URLSearchParams(location.hash.slice(1)).get("key"); // `dev` prints a link with one
if (given) {
  if (given !== credential()) ask.forget();
  keep(given);
  history.replaceState(null, "", `${location.pathname}#/ask`);
}
addEventListener("hashchange", show);
show();
