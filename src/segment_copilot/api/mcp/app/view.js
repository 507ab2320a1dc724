// What a tool's result draws, inside of a host: MCP Apps' messages, the components, and a draft with its button.
import { component } from "./draw.js";
import { failure, h, number, percent, working } from "./dom.js";

const COMPONENTS = "segment-copilot/components";
const place = document.querySelector("main");
const waiting = new Map();
let asked = 0;
let host = {};

const send = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params = {}) => send({ method, params });

/** Ask the host; what it refuses is thrown. */
function request(method, params) {
  const id = ++asked;
  send({ id, method, params });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.jsonrpc !== "2.0") return;
  if (data.method === undefined) return settle(data);
  if (data.method === "ui/notifications/tool-result") return draw(data.params);
  if (data.method === "ui/notifications/tool-cancelled") return place.replaceChildren(h("p", { class: "quiet" }, "Cancelled."));
  if (data.method === "ui/notifications/host-context-changed") return dress(data.params);
  if (data.id === undefined) return;
  if (data.method === "ping" || data.method === "ui/resource-teardown") return send({ id: data.id, result: {} });
  send({ id: data.id, error: { code: -32601, message: `This view does not answer ${data.method}.` } });
});

function settle({ id, result, error }) {
  const { resolve, reject } = waiting.get(id) ?? {};
  waiting.delete(id);
  if (error) reject?.(new Error(error.message));
  else resolve?.(result);
}

/** The host's theme and colours; without them, the system's. */
function dress({ theme, styles } = {}) {
  if (theme) document.documentElement.dataset.theme = theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) if (value) document.documentElement.style.setProperty(name, value);
}

function draw(result) {
  if (result.isError) return place.replaceChildren(failure(new Error(said(result))));
  const drawn = (result._meta?.[COMPONENTS] ?? []).map((props) => (props.component === "Draft" ? draft(props) : component(props.component, props, button)));
  const text = result.structuredContent?.text;
  place.replaceChildren(...(text ? [h("p", { class: "said" }, text)] : []), ...(drawn.length || text ? drawn : [h("p", { class: "quiet" }, "There is nothing to draw.")]));
  for (const link of place.querySelectorAll("a[href^='#']")) link.replaceWith(...link.childNodes); // the console's pages are not here
}

/** The sentence of a tool's refusal, which is JSON in its first text. */
function said({ content }) {
  const text = content?.find(({ type }) => type === "text")?.text ?? "";
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text || "The call failed.";
  }
}

const list = (title, texts, kind = null) => (texts?.length ? [h("h3", {}, title), h("ul", { class: kind }, texts.map((one) => h("li", {}, one)))] : []);

/** A draft to review: who is in it, how many, what was assumed and what could not be said. */
function draft({ name, description, words, tier, tier_reason: reason, preview, assumptions, unmapped, warnings, definition }) {
  return h("section", { class: "card" },
    h("h2", {}, name),
    h("p", {}, description === words ? null : description),
    h("p", { class: "count" }, number(preview.count), " ", h("small", {}, `of ${number(preview.universe)} users (${percent(preview.count, preview.universe)})`)),
    h("p", {}, words),
    h("p", { class: "quiet small", title: reason }, `${tier.replace("_", " ")} segment`),
    list("Assumed", assumptions), list("Not in the data", unmapped, "bad"), list("Note", warnings?.map(({ detail }) => detail), "note"),
    h("details", {}, h("summary", {}, "Definition"), h("pre", { tabindex: "0" }, JSON.stringify(definition, null, 2))));
}

/** The button that saves a draft: the host calls the tool, with the person's consent where it asks for that. */
function button({ label, save, update }) {
  if (!host.serverTools) return h("p", { class: "quiet" }, "To save it, say so.");
  const way = (text, kind, name, given) => h("button", { type: "button", class: kind, onclick: (event) => working(event.target, () => store(event.target.parentElement, name, given)) }, text);
  const changed = update && { segment_id: Number(update.path.split("/").filter(Boolean).at(-1)), definition: update.body.definition };
  const { name, description, definition } = save.body;
  return h("div", { class: "row" },
    changed && way("Change the saved segment", "main", "update_segment", changed),
    way(label, changed ? null : "main", "create_segment", { name, description, definition }));
}

async function store(row, name, given) {
  const result = await request("tools/call", { name, arguments: given });
  if (result.isError) throw new Error(said(result));
  const { id, name: saved } = result.structuredContent;
  const told = `Saved: “${saved}”, segment ${id}.`;
  row.replaceChildren(h("p", { class: "good", role: "status" }, told));
  if (host.updateModelContext) await request("ui/update-model-context", { content: [{ type: "text", text: told }] });
}

new ResizeObserver(() => notify("ui/notifications/size-changed", { width: Math.ceil(place.scrollWidth), height: Math.ceil(place.getBoundingClientRect().height) })).observe(place);

const { hostCapabilities, hostContext } = await request("ui/initialize", { appInfo: { name: "segment-copilot", version: "1" }, appCapabilities: {}, protocolVersion: "2026-01-26" });
host = hostCapabilities ?? {};
dress(hostContext);
notify("ui/notifications/initialized");
