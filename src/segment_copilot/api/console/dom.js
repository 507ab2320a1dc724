// Elements, numbers and times. What comes from the service is text, never HTML.

/** An element: `h("p", { class: "note", onclick }, "text", child)`; what is null or false is left out. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An element of SVG, in the same way. */
export function s(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat(Infinity));
  return made;
}

export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
export const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(part && part / whole < 0.01 ? 2 : 1)} %` : "–");

/** A sentence of the service, in which `names` stand between backticks. */
export const coded = (text) => text.split("`").map((piece, at) => (at % 2 ? h("code", {}, piece) : piece));

/** An instant as people say it, with the exact one behind it. */
export function when(instant, none = "never") {
  if (!instant) return h("span", { class: "quiet" }, none);
  return h("time", { datetime: instant, title: instant }, ago((Date.now() - Date.parse(instant)) / 1000));
}

function ago(seconds) {
  const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.round(seconds / length), unit);
}

/** A table: columns are `[head, cell(row), { number, words }]`. */
export function table(caption, columns, rows, none = "Nothing here.") {
  if (!rows.length) return h("p", { class: "quiet" }, none);
  const kind = (options = {}) => (options.number ? "number" : options.words ? "words" : null);
  const stacked = columns.length > 4; // on a phone its cells stand below one another; the roles keep it a table for those who hear it
  const role = (name) => stacked && name;
  const named = (title) => (title.firstChild?.textContent ?? title).trim();
  const head = columns.map(([title, , options]) => h("th", { scope: "col", role: role("columnheader"), class: kind(options) }, title));
  const body = rows.map((row) => h("tr", { role: role("row") }, columns.map(([title, cell, options]) => h("td", { role: role("cell"), "data-head": stacked && named(title), class: kind(options) }, h("div", {}, cell(row))))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { role: role("table"), class: stacked && "stacked" }, h("thead", { role: role("rowgroup") }, h("tr", { role: role("row") }, head)), h("tbody", { role: role("rowgroup") }, body)));
}

/** A list read page by page: `next(cursor)` answers `{results, next_cursor}`, `draw(rows)` draws all read so far. */
export async function paged(next, draw) {
  const place = h("div");
  let rows = [];
  const read = async (cursor) => {
    const page = await next(cursor);
    rows = [...rows, ...page.results];
    const more = page.next_cursor && h("button", { type: "button", onclick: (event) => working(event.target, () => read(page.next_cursor)) }, "More");
    place.replaceChildren(draw(rows), ...(more ? [h("p", {}, more)] : []));
  };
  await read();
  return place;
}

/** Do something a button asked for; it waits, and what fails is said beside it. */
export async function working(button, work) {
  button.disabled = true;
  button.parentElement.querySelector(":scope > .failed")?.remove();
  try {
    return await work();
  } catch (error) {
    button.after(failure(error));
  } finally {
    button.disabled = false;
  }
}

/** What went wrong, in the service's own words. */
export function failure(error) {
  const findings = (error.findings ?? []).slice(1).map((one) => h("li", {}, one.detail));
  return h("div", { class: "failed bad", role: "alert" }, error.message, findings.length ? h("ul", {}, findings) : null);
}
