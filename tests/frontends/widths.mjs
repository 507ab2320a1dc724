// A page at a given width in a headless Chromium; prints, as JSON, how wide it is and what sticks out of it.
// Arguments: the browser, the page's address, the width, a file for a picture (or none).

import { chromium } from "playwright-core";

const [, , executablePath, address, width, picture] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root has no sandbox; the page is ours
const page = await browser.newPage({ viewport: { width: Number(width), height: 800 } });
page.setDefaultTimeout(20_000);
await page.goto(address);
await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
if (picture) await page.screenshot({ path: picture });
const told = await page.evaluate(() => {
  const room = document.documentElement.clientWidth;
  const scrolls = (one) => one && (["auto", "scroll", "hidden"].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
  const out = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > room + 0.5 && !scrolls(one.parentElement));
  const named = (one) => `${one.tagName.toLowerCase()}.${one.getAttribute("class") ?? ""}: ${one.textContent.trim().slice(0, 60)}`;
  return { width: document.documentElement.scrollWidth, room, out: out.slice(0, 20).map(named) };
});
await browser.close();
process.stdout.write(JSON.stringify(told));
