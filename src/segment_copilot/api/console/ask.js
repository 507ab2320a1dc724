// The copilot: a conversation, what it looks up, what it draws, drafts to review, change and save.
import { ask } from "./api.js";
import { card } from "./draft.js";
import { failure, h } from "./dom.js";
import { component } from "./draw.js";

const KEPT = "segment-copilot-conversation";
const EXAMPLES = [
  "Users who purchased in the last 7 days but never added to a wishlist",
  "Show me orders per day for the last two weeks",
  "Which segments are the largest?",
];
let page = null; // it stays while other views are looked at, with what is typed and what still streams

export const view = () => (page ??= conversation()).element;

/** Forget the conversation: it is of one key, and of this tab. */
export function forget() {
  page?.stop();
  page = null;
  sessionStorage.removeItem(KEPT);
}

/** What was asked and answered so far, as events that can be drawn again; a tab that is loaded anew shows it as it was. */
const none = () => ({ messages: [], checkpoint: undefined, turns: [] });
const restored = () => JSON.parse(sessionStorage.getItem(KEPT)) ?? none();

function conversation() {
  const talk = restored();
  const shown = h("div", { "aria-live": "polite" });
  const text = h("input", { type: "text", name: "question", placeholder: "Describe an audience, or ask about the data", "aria-label": "Question", autocomplete: "off", required: true });
  const send = h("button", { class: "main" }, "Ask");
  const halt = h("button", { type: "button", hidden: true, onclick: () => running?.abort() }, "Stop");
  let running = null;
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    const question = text.value.trim();
    if (!question || running) return;
    text.value = "";
    put(question);
  } }, text, send, halt);
  const afresh = h("button", { type: "button", class: "plain", onclick: () => {
    running?.abort();
    Object.assign(talk, none());
    keep();
    shown.replaceChildren(examples(put));
    text.focus();
  } }, "New conversation");

  function keep() {
    for (let first = 0; ; first += 1) { // a tab keeps some megabytes: what does not fit is shown until it is loaded anew
      try {
        return sessionStorage.setItem(KEPT, JSON.stringify({ ...talk, turns: talk.turns.slice(first) }));
      } catch {
        if (first >= talk.turns.length) return sessionStorage.removeItem(KEPT);
      }
    }
  }

  function begin(turn) {
    shown.querySelector(".examples")?.remove();
    const place = h("div");
    shown.append(h("div", {}, h("p", { class: "person" }, turn.question), place));
    return { place, drawing: drawn(place, turn, { put, keep }) };
  }

  /** Say beside a question why it has no answer, and offer to ask it once more. */
  function unanswered(turn, place, told) {
    const again = h("button", { type: "button", onclick: () => {
      if (running) return;
      talk.turns.splice(talk.turns.indexOf(turn), 1);
      place.parentElement.remove();
      put(turn.question, turn.resume);
      text.focus();
    } }, "Ask again");
    place.append(told, h("p", {}, again));
  }

  async function put(question, resume) {
    if (running) return;
    const mine = new AbortController();
    running = mine;
    const turn = { question, resume, events: [], done: false };
    talk.turns.push(turn);
    keep();
    send.hidden = !(halt.hidden = false);
    const { place, drawing } = begin(turn);
    try {
      await answer(talk, turn, drawing, mine.signal);
    } catch (error) {
      if (talk.turns.includes(turn)) unanswered(turn, place, error.name === "AbortError" ? h("p", { class: "note" }, "Stopped.") : failure(error));
    } finally {
      if (running === mine) {
        running = null;
        send.hidden = !(halt.hidden = true);
      }
      keep();
      place.lastElementChild?.scrollIntoView({ block: "nearest" });
    }
  }

  for (const turn of talk.turns) {
    const { place, drawing } = begin(turn);
    turn.events.forEach(drawing.take);
    if (turn.done) drawing.finish(turn === talk.turns.at(-1));
    else unanswered(turn, place, h("p", { class: "note" }, "The page was left before this was answered."));
  }
  if (!talk.turns.length) shown.replaceChildren(examples(put));
  return { element: h("div", {}, h("h1", {}, "Ask"), shown, form, afresh), stop: () => { running?.abort(); talk.turns = []; } };
}

const examples = (put) =>
  h("div", { class: "examples" }, h("p", { class: "quiet" }, "For example:"), h("ul", {}, EXAMPLES.map((one) => h("li", {}, h("button", { type: "button", class: "plain", onclick: () => put(one) }, one)))));

async function answer(talk, turn, drawing, signal) {
  const { question, resume } = turn;
  const asked = [...talk.messages, { role: "user", content: question }];
  const messages = resume ? talk.messages : asked;
  const changed = talk.turns.findLast(({ drafts }) => drafts); // "and only those in Spain": of the draft as it is now
  const draft = Object.values(changed?.drafts ?? {}).at(-1)?.definition;
  let checkpoint, end;
  for await (const event of ask({ messages, checkpoint: talk.checkpoint, ...(draft ? { context: { draft } } : {}), ...(resume ? { resume: [resume] } : {}) }, signal)) {
    if (event.type === "checkpoint") checkpoint = event.token;
    if (event.type === "run.finished") end = event;
    if (event.type === "run.error") throw new Error(event.message);
    if (drawing.take(event)) record(turn.events, event);
  }
  signal.throwIfAborted();
  if (!end) throw new Error("The answer was cut off.");
  Object.assign(talk, { messages: [...asked, { role: "assistant", content: drawing.said() }], checkpoint });
  turn.done = true;
  drawing.finish(true);
}

/** Keep an event to draw it again: texts joined, without what was looked up. */
function record(events, { data, ...event }) {
  const last = events.at(-1);
  if (event.type === "text.delta" && last?.type === "text.delta" && last.id === event.id) last.delta += event.delta;
  else events.push(event);
}

/** Draw the events of one answer at a place, as they come; `take` says whether an event shows anything. */
function drawn(place, turn, { put, keep }) {
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
  let open;
  const on = {
    "text.delta"({ id, delta }) {
      texts.set(id, (texts.get(id) ?? "") + delta);
      part(id, () => h("p", { class: "said" })).append(delta);
    },
    "turn.reset"({ discard }) {
      discard.forEach((id) => { texts.delete(id); parts.get(id)?.remove(); });
    },
    "tool.start": ({ tool_call_id: id, title, kind }) => ["display", "ask"].includes(kind) || step(id, `${title}…`), // what is displayed is seen, and a question too
    "tool.result": ({ tool_call_id: id, ok, summary, error }) => (row(id) || !ok) && step(id, ok ? summary : error.message),
    "component": ({ id, name, props }) => part(id, () => component(name, props, () => h("span"))), // a draft's button stands on its card
    "segment.draft": (draft) => part(draft.draft_id + draft.revision, () => card(draft, turn, keep)),
    "warning": ({ message }) => place.append(h("p", { class: "note small" }, message)),
    "clarification": (event) => (open = event),
  };
  return {
    take(event) {
      on[event.type]?.(event);
      return event.type in on;
    },
    said: () => [...texts.values()].join("\n\n"),
    finish: (last) => open && place.append(choice(open, put, last)),
  };
}

/** The answers that were offered; only those of the last question can be given. */
function choice({ id, options }, put, last) {
  const field = h("fieldset", { class: "card", disabled: !last }, h("legend", {}, options.length > 1 ? "Which one?" : "Is it this?"));
  const answered = (value) => {
    field.disabled = true;
    put(value, { id, status: "resolved", payload: { answer: value } });
  };
  field.append(h("div", { class: "row" }, options.map(({ label, value, effect }) => {
    const cut = effect && /^…|…$/.test(label); // of a long answer, which is shown whole
    return h("button", { type: "button", onclick: () => answered(value) }, cut ? effect : label, effect && !cut && effect !== label && h("span", { class: "effect quiet small" }, effect));
  })));
  return field;
}
