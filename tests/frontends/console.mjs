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
await page.getByText("Edit", { exact: true }).click();
await page.getByLabel("Definition as JSON").fill("{");
await page.getByText("Not JSON yet").waitFor();
const edited = { logic: "AND", conditions: [{ type: "event_count", event_type: "order_placed", operator: "gte", value: 1 }] };
await page.getByLabel("Definition as JSON").fill(JSON.stringify(edited));
await page.getByText("users, as edited").waitFor();
await page.getByLabel("Name of the segment").fill("Seen in the console");
await page.getByText("Save", { exact: true }).click();
await page.getByText("Saved as Seen in the console").click();
await page.getByRole("heading", { name: "Seen in the console" }).waitFor();
await page.getByText("Compute now").click();
await page.getByText(/[1-9][0-9,]* members, computed/).waitFor();
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

told.complaints = complaints;
await page.getByRole("button", { name: "Key" }).click();
told.forgotten = await page.evaluate(() => sessionStorage.length);
await browser.close();
process.stdout.write(JSON.stringify(told));
