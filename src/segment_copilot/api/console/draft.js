// A draft to review, to change and to save.
import { get, post } from "./api.js";
import { editor, explained } from "./definition.js";
import { coded, failure, h, number, percent, working } from "./dom.js";

/** The card of a draft. What a person made of it (changed, saved) is kept with the turn that brought it. */
export function card(draft, turn, keep) {
  const key = `${draft.draft_id} ${draft.revision}`;
  const mine = ((turn.drafts ??= {})[key] ??= {}); // { definition, found } once changed, { name } once named, { saved }
  let { definition, description, conditions } = draft;
  const words = h("p");
  const counted = h("p", { "aria-live": "polite" });
  const notes = h("div");
  const name = h("input", { type: "text", class: "wide", "aria-label": "Name of the segment", required: true, maxlength: 200, oninput: () => { mine.name = name.value; asNew(); keep(); } });
  const save = h("button", { class: "main" }, "Save");
  const saving = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    if (!save.disabled) working(save, store);
  } }, name, save);
  const asNew = () => { save.textContent = "Save"; saving.querySelector(".taken")?.remove(); };

  async function store() {
    const wanted = name.value.trim();
    if (save.textContent === "Save" && await taken(wanted)) {
      save.textContent = "Save a second one";
      save.after(h("p", { class: "note small taken", role: "status" }, `There is a segment “${wanted}” already.`));
      return;
    }
    const { id, name: called } = await post("/api/segments/", { name: wanted, description, definition });
    mine.saved = { id, name: called };
    keep();
    saved().focus();
  }
  const saved = () => {
    const link = h("a", { href: `#/segments/${mine.saved.id}` }, `Saved as ${mine.saved.name}`);
    saving.replaceWith(h("p", { role: "status" }, link));
    edit.element.remove(); // what is saved is changed by a question about it, or by the API
    if (details.open) fill();
    return link;
  };

  const details = h("details", { ontoggle: () => details.open && details.childElementCount === 1 && fill() }, h("summary", {}, "Conditions, how it comes about, SQL"));
  const pick = (wanted) => edit.set(wanted);
  async function fill() {
    const shown = definition;
    const drawn = await explained(definition, conditions?.map((one) => ({ ...one, pointer: `/definition${one.pointer}` })), mine.saved ? undefined : pick).catch(failure);
    if (shown !== definition) return;
    const inside = details.contains(document.activeElement);
    while (details.childElementCount > 1) details.lastElementChild.remove();
    details.append(drawn);
    if (inside) details.querySelector("summary").focus(); // what was pressed is gone
  }

  function show({ matched, universe, told, warnings, note }) {
    words.textContent = told;
    counted.replaceChildren(h("span", { class: "count" }, number(matched)), ` of ${number(universe)} users (${percent(matched, universe)})${note}`);
    notes.replaceChildren(...warnings.map((warning) => h("p", { class: "note small" }, coded(warning.detail))));
  }
  function changed(wanted, found) {
    definition = wanted;
    conditions = found.conditions?.some((one) => one.neighbours) ? found.conditions.map((one) => ({ ...one, pointer: one.pointer.replace(/^\/definition/, "") })) : undefined;
    description = ""; // it was of the draft as it came
    ofWords.replaceChildren(); // and so is how the words were read
    Object.assign(mine, { definition, found: { matched_users: found.matched_users, universe: found.universe, words: found.words, warnings: found.warnings ?? [] } });
    show({ matched: found.matched_users, universe: found.universe, told: found.words ?? "", warnings: found.warnings ?? [], note: ", as edited" });
    if (mine.name === undefined) name.value = titled(found.words ?? "");
    save.disabled = false;
    keep();
    if (details.open) fill();
    else while (details.childElementCount > 1) details.lastElementChild.remove();
  }
  const broken = (told) => { // what is written is not what was counted: neither shown as such, nor saved
    save.disabled = true;
    counted.replaceChildren(h("span", { class: "quiet" }, told));
  };

  const ofWords = h("div", {},
    draft.reading ? h("details", {}, h("summary", {}, "How your words were read"), reading(draft.reading, turn.question)) : null,
    draft.assumptions.map((told) => h("p", { class: "note small" }, "Assumed: ", coded(told))));
  name.value = mine.name ?? draft.name;
  show({ matched: draft.preview.count, universe: draft.preview.universe, told: draft.words, warnings: draft.warnings, note: "" });
  const edit = editor(mine.definition ?? definition, { changed, broken, told: draft.conditions ?? [] });
  if (mine.definition) changed(mine.definition, mine.found);
  const made = h("section", { class: "card", "aria-label": `Draft ${draft.name}` },
    h("p", { class: "logic" }, draft.revision > 1 ? `DRAFT, CHANGE ${draft.revision - 1}` : "DRAFT"), words, counted, ofWords,
    draft.unmapped.map((told) => h("p", { class: "bad small" }, `Not expressed: ${told.text ?? told}`)),
    notes, details, edit.element, saving);
  if (mine.saved) saved();
  return made;
}

const taken = async (name) => {
  const { results } = await get("/api/segments/", { search: name, limit: 100 }).catch(() => ({ results: [] })); // a key that may not read may still save
  return results.some((one) => one.name.toLowerCase() === name.toLowerCase());
};

/** A name for what was changed, of its words. */
function titled(words) {
  const plain = words.replace(/^Users (who are |who |whose )?/, "").replace(/ \((where|people who) [^()]*\)|[“”]|\.$/g, "");
  const cut = plain.length > 80 ? `${plain.slice(0, 79).replace(/\s+\S*$/, "")}…` : plain;
  return cut.charAt(0).toUpperCase() + cut.slice(1);
}

function reading(spans, question) {
  const letters = [...question];
  const pieces = [];
  const before = spans.filter(({ message }) => message).map(({ text }) => `“${text}”`);
  let at = 0;
  for (const { start, end, text, message, pointers, assumed, unmapped } of spans) {
    if (message) continue;
    pieces.push(letters.slice(at, start).join(""));
    const said = unmapped ? "in no condition" : assumed ?? (pointers?.length ? pointers.join(", ") : "joins or asks");
    pieces.push(h("span", { class: `read ${unmapped ? "unmapped" : assumed ? "assumed" : ""}`, title: said }, text));
    at = end;
  }
  return h("p", {}, pieces, letters.slice(at).join(""), before.length > 0 && h("span", { class: "quiet" }, ` From what you said before: ${before.join(", ")}.`), h("span", { class: "quiet small" }, " Underlined words made a condition; dotted ones were settled for you; dashed ones are in no condition."));
}
