// The copilot: a conversation, what it looks up, what it draws, drafts to review, change and save.
import { ask, post } from "./api.js";
import { editor, explained } from "./definition.js";
import { failure, h, number, working } from "./dom.js";
import { component } from "./draw.js";

const talk = { messages: [], checkpoint: undefined };
const shown = h("div", { "aria-live": "polite" });
const EXAMPLES = [
  "Users who purchased in the last 7 days but never added to a wishlist",
  "Show me orders per day for the last two weeks",
  "Which segments are the largest?",
];

export function view() {
  const text = h("input", { type: "text", name: "question", placeholder: "Describe an audience, or ask about the data", "aria-label": "Question", autocomplete: "off", required: true });
  const send = h("button", { class: "main" }, "Ask");
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    const question = text.value.trim();
    if (!question) return;
    text.value = "";
    put(question);
  } }, text, send);
  const afresh = h("button", { type: "button", class: "plain", onclick: () => {
    Object.assign(talk, { messages: [], checkpoint: undefined });
    shown.replaceChildren(examples(put));
    text.focus();
  } }, "New conversation");
  if (!shown.childElementCount) shown.replaceChildren(examples(put));

  async function put(question, resume) {
    send.disabled = true;
    shown.querySelector(".examples")?.remove();
    shown.append(h("p", { class: "person" }, question));
    const place = shown.appendChild(h("div"));
    try {
      await answer(question, resume, place, put);
    } catch (error) {
      place.append(failure(error));
    } finally {
      send.disabled = false;
      place.lastElementChild?.scrollIntoView({ block: "nearest" });
    }
  }
  return h("div", {}, h("h1", {}, "Ask"), shown, form, afresh);
}

const examples = (put) =>
  h("div", { class: "examples" }, h("p", { class: "quiet" }, "For example:"), h("ul", {}, EXAMPLES.map((one) => h("li", {}, h("button", { type: "button", class: "plain", onclick: () => put(one) }, one)))));

async function answer(question, resume, place, put) {
  const messages = resume ? talk.messages : [...talk.messages, { role: "user", content: question }];
  const steps = place.appendChild(h("ul", { class: "steps" }));
  const parts = new Map();
  const texts = new Map();
  const part = (id, make) => {
    if (!parts.has(id)) parts.set(id, place.appendChild(make()));
    return parts.get(id);
  };
  const row = (id) => steps.querySelector(`[data-id="${CSS.escape(id)}"]`);
  const step = (id, told) => {
    (row(id) ?? steps.appendChild(h("li", { "data-id": id }))).textContent = told;
  };
  let open, checkpoint, end;
  const on = {
    "text.delta"({ id, delta }) {
      texts.set(id, (texts.get(id) ?? "") + delta);
      part(id, () => h("p", { class: "said" })).append(delta);
    },
    "turn.reset"({ discard }) {
      discard.forEach((id) => { texts.delete(id); parts.get(id)?.remove(); });
    },
    "tool.start": ({ tool_call_id: id, title, kind }) => kind === "display" || step(id, `${title}…`), // what is displayed is seen
    "tool.result": ({ tool_call_id: id, ok, summary, error }) => (row(id) || !ok) && step(id, ok ? summary : error.message),
    "component": ({ id, name, props }) => part(id, () => component(name, props, () => h("span"))), // a draft's button stands on its card
    "segment.draft": (draft) => part(draft.draft_id + draft.revision, () => card(draft, question)),
    "warning": ({ message }) => place.append(h("p", { class: "note small" }, message)),
    "clarification": (event) => (open = event),
    "checkpoint": ({ token }) => (checkpoint = token),
    "run.finished": (event) => (end = event),
    "run.error"({ message }) { throw new Error(message); },
  };
  for await (const event of ask({ messages, checkpoint: talk.checkpoint, ...(resume ? { resume: [resume] } : {}) })) on[event.type]?.(event);
  if (!end) throw new Error("The answer was cut off; ask again.");
  const asked = resume ? [...talk.messages, { role: "user", content: question }] : messages;
  Object.assign(talk, { messages: [...asked, { role: "assistant", content: [...texts.values()].join("\n\n") }], checkpoint });
  if (open) place.append(choice(open, put));
}

function choice({ id, options }, put) {
  const field = h("fieldset", { class: "card" }, h("legend", {}, "Which one?"));
  const answered = (value) => {
    field.disabled = true;
    put(value, { id, status: "resolved", payload: { answer: value } });
  };
  field.append(h("div", { class: "row" }, options.map(({ label, value, effect }) => h("button", { type: "button", title: effect, onclick: () => answered(value) }, label))));
  return field;
}

function card(draft, question) {
  let { definition, description, conditions } = draft;
  const counted = h("p", {}, h("span", { class: "count" }, number(draft.preview.count)), ` of ${number(draft.preview.universe)} users (${draft.preview.percent} %)`);
  const name = h("input", { type: "text", class: "wide", "aria-label": "Name of the segment", value: draft.name });
  const save = h("button", { type: "button", class: "main" }, "Save");
  save.addEventListener("click", () => working(save, async () => {
    const segment = await post("/api/segments/", { name: name.value, description, definition });
    save.replaceWith(h("a", { href: `#/segments/${segment.id}` }, `Saved as ${segment.name}`));
  }));
  const details = h("details", { ontoggle: fill }, h("summary", {}, "Conditions, how it comes about, SQL"));
  async function fill() {
    if (!details.open || details.childElementCount > 1) return;
    const place = details.appendChild(h("div", {}, "…"));
    place.replaceChildren(await explained(definition, conditions?.map((one) => ({ ...one, pointer: `/definition${one.pointer}` }))).catch(failure));
  }
  const edited = (wanted, found) => {
    definition = wanted;
    conditions = undefined; // counted of the draft as it came
    description = ""; // it was of the draft as it came
    counted.replaceChildren(h("span", { class: "count" }, number(found.matched_users)), ` of ${number(found.universe)} users, as edited`);
    details.open = false;
    while (details.childElementCount > 1) details.lastElementChild.remove();
  };
  return h("section", { class: "card", "aria-label": `Draft ${draft.name}` },
    h("p", { class: "logic" }, draft.revision > 1 ? `DRAFT, CHANGE ${draft.revision - 1}` : "DRAFT"), h("p", {}, draft.words), counted,
    draft.reading ? h("details", {}, h("summary", {}, "How your words were read"), reading(draft.reading, question)) : null,
    draft.assumptions.map((told) => h("p", { class: "note small" }, `Assumed: ${told}`)),
    draft.unmapped.map((told) => h("p", { class: "bad small" }, `Not expressed: ${told.text ?? told}`)),
    draft.warnings.map((warning) => h("p", { class: "note small" }, warning.detail)),
    details, editor(definition, edited), h("div", { class: "row" }, name, save));
}

function reading(spans, question) {
  const letters = [...question];
  const pieces = [];
  let at = 0;
  for (const { start, end, text, message, pointers, assumed, unmapped } of spans) {
    if (message) { pieces.push(h("span", { class: "quiet" }, ` (before: ${text})`)); continue; }
    pieces.push(letters.slice(at, start).join(""));
    const said = unmapped ? "in no condition" : assumed ?? (pointers?.length ? pointers.join(", ") : "joins or asks");
    pieces.push(h("span", { class: `read ${unmapped ? "unmapped" : assumed ? "assumed" : ""}`, title: said }, text));
    at = end;
  }
  return h("p", {}, pieces, letters.slice(at).join(""), h("span", { class: "quiet small" }, " Underlined words made a condition; dotted ones were settled for you; dashed ones are in no condition."));
}
