// A page in headless Chromium that takes note of everything that must not happen: messages in the console, errors of
// scripts, and requests that leave the folder.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = createRequire(`${process.env.BROWSER_MODULES}/package.json`);
const { chromium } = modules("playwright-core");
const AXE = modules.resolve("axe-core");

/** Opens a browser. Chromium cannot make its sandbox as root or inside most containers; the pages are ours. */
export const open = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

/** A page that shows a file; `problems` collects what went wrong. `options` are those of a browser context. */
export async function visit(browser, file, problems, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const note = (what) => problems.push(`${file.split("/").pop()}: ${what}`);
  page.on("console", (message) => note(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => note(`error of a script: ${error.message}`));
  page.on("dialog", (dialog) => {
    note(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("requestfailed", (request) => note(`cannot load ${request.url().slice(0, 200)}`));
  await context.route(/^(?!file:|data:|blob:)/, (route) => {
    note(`asks the network for ${route.request().url()}`);
    route.abort();
  });
  await page.goto(pathToFileURL(file).href);
  return page;
}

/** What axe-core calls serious or critical, by the rules of WCAG 2.2 A and AA and its best practices. */
export async function inaccessible(page) {
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  return grave.map((v) => `axe ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
}

/** Scrolls through, so that what is drawn late is drawn, and returns the pictures that were not. */
export async function undrawn(page) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  for (let y = 0; y < height; y += 600) {
    await page.evaluate((to) => scrollTo(0, to), y);
    await page.waitForTimeout(30);
  }
  await page.evaluate(() => scrollTo(0, 0));
  return page.evaluate(async () => {
    const shown = [...document.images].filter((image) => image.checkVisibility());
    await Promise.all(shown.map((image) => image.decode().catch(() => {})));
    return shown.filter((image) => !image.naturalWidth).map((image) => image.src.slice(0, 120));
  });
}
