// What the copilot shows, as plain lines of text, and a plain screen for a console and for a page.

const number = (value) => value.toLocaleString("en");
const bar = (value, most) => "█".repeat(Math.ceil((value / (most || 1)) * 30));

/** The lines of a component, and for CreateSegmentCTA the request that saves the draft. */
export function component(name, props) {
  switch (name) {
    case "MetricCard":
      return { lines: [`${props.title}: ${number(props.value)} ${props.unit ?? ""}`.trim(), props.note ?? ""] };
    case "SegmentTable": {
      const rows = props.rows.map((row) => `${row.id}  ${row.name}  ${row.tier}  ${number(row.member_count ?? 0)}`);
      return { lines: [props.title, ...rows, props.truncated ? `… of ${props.total}` : ""] };
    }
    case "EventVolumeChart": {
      const most = Math.max(...props.points.map(({ y }) => y));
      const bars = props.points.map(
        ({ x, y, partial }) => `${x}  ${bar(y, most)} ${number(y)}${partial ? " (part of the day)" : ""}`,
      );
      return { lines: [`${props.title} (${props.unit})`, ...bars] };
    }
    case "CreateSegmentCTA":
      return { lines: [`${props.label} (${number(props.count)} users)`], save: props.save };
    default:
      return { lines: [`(${name} is not known here)`] };
  }
}

/** The lines of a draft: what it says, whom it matches, and what to know before saving it. */
export function draft({ name, words, preview, assumptions, unmapped, warnings, diff = [] }) {
  const counted = `${number(preview.count)} of ${number(preview.universe)} users (${preview.percent} %)`;
  return {
    lines: [
      `Draft: ${name}`,
      words,
      `${counted} as of ${preview.as_of}`,
      ...diff.map(({ op, path, value }) => `Changed: ${op} ${path} ${value === undefined ? "" : JSON.stringify(value)}`),
      ...assumptions.map((told) => `Assumed: ${told}`),
      ...unmapped.map((told) => `Not expressed: ${told}`),
      ...warnings.map((warning) => `Note: ${warning.detail}`),
    ],
  };
}

/** A screen that writes lines; `choose` is asked for the answers to questions. */
export function consoleScreen(choose, out = process.stdout) {
  return {
    text: (_id, delta) => out.write(delta),
    step: (_id, told) => out.write(`\n· ${told}\n`),
    block: (_id, { lines }) => out.write(`\n${lines.filter(Boolean).join("\n")}\n`),
    forget: (_ids) => out.write("\n(taken back)\n"),
    choose,
  };
}

/** A screen in an element of a page; `save` sends the request of a draft's button, through your own backend. */
export function pageScreen(root, save) {
  const shown = new Map();
  const element = (id, tag) => {
    if (!shown.has(id)) shown.set(id, root.appendChild(document.createElement(tag)));
    return shown.get(id);
  };
  const button = (parent, label, pressed) => {
    const made = parent.appendChild(document.createElement("button"));
    made.append(label);
    made.onclick = pressed;
  };
  return {
    text: (id, delta) => element(id, "p").append(delta), // text, never HTML
    step: (id, told) => (element(id, "small").textContent = `${told}\n`),
    block(id, drawn) {
      element(id, "pre").textContent = drawn.lines.filter(Boolean).join("\n");
      if (drawn.save) button(root, "Save", () => save(drawn.save));
    },
    forget: (ids) => ids.forEach((id) => shown.get(id)?.remove()),
    choose: (question) =>
      new Promise((answered) => {
        const field = root.appendChild(document.createElement("fieldset"));
        const answer = (value) => {
          field.remove();
          shown.clear(); // the answer is a run of its own, whose ids begin anew
          answered(value);
        };
        for (const option of question.options) button(field, option.label, () => answer(option.value));
        const free = field.appendChild(document.createElement("input"));
        button(field, "Answer", () => free.value && answer(free.value));
      }),
  };
}
