// The console in a headless Chromium, used as a person would; prints what the person then sees, as JSON.
// Arguments: the browser, the service's address, a key, and a folder for pictures (none are taken without one).

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , executablePath, service, key, pictures] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root has no sandbox; the page is ours
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: true }); // for the checker only
const page = await context.newPage();
page.setDefaultTimeout(20_000);
const complaints = [];
page.on("console", (said) => ["warning", "error"].includes(said.type()) && complaints.push(said.text()));
page.on("pageerror", (error) => complaints.push(String(error)));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const told = { views: {}, violations: [], wide: [], letters: [] }; // letters: how high those of charts are, in pixels

/** Look at a view: what is wrong for a screen reader, whether a phone has to scroll it sideways; a picture of each. */
async function look(name) {
  for (const [kind, width, scheme] of [["desktop", 1280, "light"], ["phone", 390, "dark"]]) {
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))); // charts fit the width then
    await page.emulateMedia({ colorScheme: scheme });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    told.violations.push(...violations.map(({ id, nodes }) => `${name}, ${kind}: ${id}: ${nodes[0].html}`));
    if (await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) told.wide.push(`${name}, ${kind}`);
    told.letters.push(...(await page.locator("svg.chart text").evaluateAll((texts) => texts.map((text) => text.getBoundingClientRect().height))));
    if (pictures) await page.screenshot({ path: `${pictures}/${name}-${kind}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  told.views[name] = await page.locator("main").innerText();
}

await page.goto(`${service}/console/`);
await page.getByLabel("Key or token").fill("sk_wrong");
await page.getByText("Go on").click();
await page.getByRole("alert").waitFor();
await look("enter");
told.expected = complaints.splice(0); // the browser itself tells of the 401
await page.getByLabel("Key or token").fill(key);
await page.keyboard.press("Enter");

await page.getByLabel("Question").fill("Users who placed more than 3 orders in the last 90 days");
await page.keyboard.press("Enter");
await page.getByText("DRAFT", { exact: true }).waitFor();
await page.getByText("Conditions, how it comes about, SQL").click();
await page.getByText("HOW IT COMES ABOUT").waitFor();
await page.locator("p.near").first().waitFor();
told.near = await page.locator("p.near").allInnerTexts();
await look("draft");

// Other numbers, without a word of JSON: one of those near, then one that is typed. What the card says goes with them.
const card = page.getByRole("region", { name: /^Draft/ });
const said = async (text) => {
  await card.getByText(text).first().waitFor();
  return [await card.locator("p").nth(1).innerText(), await page.getByLabel("Name of the segment").inputValue()];
};
told.edits = [];
await page.route("**/api/segments/preview/", (route) => route.abort());
await card.getByRole("button", { name: "4 times: 8" }).click();
await card.getByText("The service does not answer.").waitFor();
await page.unroute("**/api/segments/preview/");
complaints.splice(0); // the browser itself tells of what was aborted
await card.locator("summary", { hasText: "Edit" }).click();
await card.getByRole("button", { name: "2 times: 24" }).click();
told.edits.push(await said("24 of 41 users (58.5 %), as edited"));
await card.locator("strong", { hasText: "2 times: 24" }).waitFor();
told.focus = await page.evaluate(() => document.activeElement.textContent);
await page.getByText("Edit", { exact: true }).click();
await card.getByLabel(/^times/).fill("");
await card.getByText("Write a number.").waitFor();
told.unsavable = [await card.getByRole("button", { name: "Save" }).isDisabled()];
await card.getByLabel(/^times/).fill("4");
told.edits.push(await said("8 of 41 users (19.5 %), as edited"));
await look("edited");

// Loaded anew in the middle of a stream: what was answered is there as it was left, and what was not can be asked again.
await page.getByLabel("Question").fill("Which segments are the largest?");
await page.route("**/api/copilot/stream/", () => {}); // it never answers
await page.keyboard.press("Enter");
await page.getByRole("button", { name: "Stop" }).waitFor();
await page.reload();
await page.unroute("**/api/copilot/stream/");
told.edits.push(await said("8 of 41 users (19.5 %), as edited"));
await page.getByText("The page was left before this was answered.").waitFor();
await page.route("**/api/copilot/stream/", (route) => route.abort());
await page.getByRole("button", { name: "Ask again" }).click();
await page.getByText("The service does not answer.").waitFor();
await page.unroute("**/api/copilot/stream/");
complaints.splice(0); // the browser itself tells of what was aborted
await page.getByRole("button", { name: "Ask again" }).click();
await page.locator("button.main:enabled:visible", { hasText: "Ask" }).waitFor();

await page.getByText("Edit", { exact: true }).click();
await page.getByText("As JSON", { exact: true }).click();
await page.getByLabel("Definition as JSON").fill("{");
await page.getByText("Not JSON yet").waitFor();
told.unsavable.push(await card.getByRole("button", { name: "Save" }).isDisabled());
await page.getByLabel("Definition as JSON").fill(JSON.stringify({ logic: "AND", conditions: [{ type: "event_count", event_type: "orders" }] }));
await card.getByText("No event type 'orders' has been seen yet").waitFor();
const edited = { logic: "AND", conditions: [{ type: "event_count", event_type: "order_placed", operator: "gte", value: 1 }] };
await page.getByLabel("Definition as JSON").fill(JSON.stringify(edited));
await page.getByText("40 of 41 users (97.6 %), as edited").waitFor();
await page.getByLabel("Name of the segment").fill("Seen in the console");
await page.keyboard.press("Enter"); // by the keyboard alone, from here to the saved segment
await page.getByText("Saved as Seen in the console").waitFor();
await page.keyboard.press("Enter");
await page.getByRole("heading", { name: "Seen in the console" }).waitFor();
await page.getByText("Compute now").click();
await page.getByText(/^ ?Computation \d+ is queued/).waitFor();
await page.getByText(/^ ?Computation \d+ is queued/).waitFor({ state: "detached" }); // the page is drawn anew then
await page.getByText(/[1-9][0-9,]* members, computed (?!never)/).waitFor();
await page.getByText("all users").waitFor();
await page.getByText("What would other values give?").click();
await page.locator("p.near").first().waitFor();
await page.getByText("Loading…").waitFor({ state: "detached" });
await look("segment");

await page.getByRole("link", { name: "Segments" }).click();
await page.getByRole("link", { name: "Seen in the console" }).first().waitFor();
await look("segments");
await page.getByLabel("Search segments by name").fill("nothing has this name");
await page.keyboard.press("Enter");
await page.getByText("No segment has these words.").waitFor();

await page.getByRole("link", { name: "Users" }).click();
await page.getByRole("table").waitFor();
await look("users");
await page.getByRole("table").getByRole("link").first().click();
await page.getByRole("heading", { name: "What they did" }).waitFor();
const why = page.getByText(/^Why in/).first();
if (await why.count()) {
  await why.click();
  await page.getByText("✓").first().waitFor();
}
await look("user");
await page.getByRole("link", { name: "Activations" }).click();
await page.getByRole("heading", { name: "Activations" }).waitFor();
await page.getByText("Loading…").waitFor({ state: "detached" });
await look("activations");
await page.getByRole("link", { name: "Events" }).click();
await page.getByRole("heading", { name: "Events" }).waitFor();
await page.locator("details").first().click();
await look("events");

await page.getByRole("link", { name: "Ask" }).click();
await page.getByText("New conversation").click();
await page.getByLabel("Question").fill("Show me orders per day for the last two weeks");
await page.keyboard.press("Enter");
await page.locator("svg.chart").waitFor();
await page.locator("button.main:enabled", { hasText: "Ask" }).waitFor();
await look("chart");

await page.getByText("New conversation").click();
await page.getByLabel("Question").fill("Users who placed more than 3 orders in the last 90 days");
await page.keyboard.press("Enter");
await page.getByLabel("Name of the segment").fill("seen in the console");
await page.keyboard.press("Enter");
await page.getByText("There is a segment “seen in the console” already.").waitFor();
told.again = await card.getByRole("button", { name: /^Save/ }).innerText();

// Who is left out is told as what holds, and what keeps somebody out of a segment can be asked.
const exclude = { logic: "OR", conditions: [{ type: "event_count", event_type: "page_viewed" }] };
const body = { name: "Not who looked", definition: { ...edited, exclude } };
const headers = { Authorization: `ApiKey ${key}` };
const { id } = await (await context.request.post(`${service}/api/segments/`, { data: body, headers })).json();
for (const user of ["user_01", "visitor"]) {
  await page.goto(`${service}/console/#/users/${user}`);
  await page.getByText("Why not in another one?").click();
  await page.getByLabel("Segment", { exact: true }).selectOption(String(id));
  await page.locator("ul.tree li").first().waitFor();
  (told.why ??= []).push(await page.locator("ul.tree li").allInnerTexts());
}
await page.getByRole("link", { name: "Ask" }).click();
told.named = await page.getByLabel("Name of the segment").inputValue();

// What is said next is said of the draft as it was changed.
await page.getByText("Conditions, how it comes about, SQL").click();
await card.getByRole("button", { name: "2 times: 24" }).click();
await card.getByText("24 of 41 users (58.5 %), as edited").waitFor();
await page.getByLabel("Question").fill("and only those in Spain");
await page.keyboard.press("Enter");
await page.getByText("DRAFT, CHANGE 1").waitFor();
told.next = await card.last().locator("p").nth(1).innerText();

told.complaints = complaints;
await page.getByRole("button", { name: "Key" }).click();
told.forgotten = await page.evaluate(() => sessionStorage.length);
await page.getByLabel("Key or token").fill(key);
await page.keyboard.press("Enter");
await page.getByText("For example:").waitFor(); // what was said with another key is not shown
await browser.close();
process.stdout.write(JSON.stringify(told));
