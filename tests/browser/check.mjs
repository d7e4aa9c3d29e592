// check.mjs CHECK OUTPUT SCREENSHOTS: one check of the report in OUTPUT; prints what it measured, lists problems, and exits
// with 1 when there are any.
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { inaccessible, open, undrawn, visit } from "./browser.mjs";

const [, , check, output, shots] = process.argv;
const problems = [];
const expect = (fine, what) => fine || problems.push(what);
const index = join(output, "index.html");
const pages = () => readdirSync(output).filter((name) => /^sub-.*\.html$/.test(name)).sort();
mkdirSync(shots, { recursive: true });
const browser = await open();

const column = (page, n) => page.$$eval("#rows tr", (rows, at) => rows.map((row) => row.cells[at].textContent), n);
const sortedBy = (page, key) => page.locator(`#scans th:has([data-key=${key}])`).getAttribute("aria-sort");
const count = async (page) => (await page.locator("#count").textContent()).trim();

/** Both pages, light and dark: drawn, silent, accessible, printable. */
async function looks() {
  for (const file of [index, join(output, pages()[0])]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await visit(browser, file, problems, { colorScheme });
      problems.push(...(await undrawn(page)).map((source) => `not drawn: ${source}`));
      problems.push(...(await inaccessible(page)).map((what) => `${file} ${colorScheme}: ${what}`));
      const name = file === index ? "index" : "subject";
      await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide <= 0, `${file} is wider than the window by ${wide}`);
      if (colorScheme === "light") {
        const pdf = await page.pdf({ path: join(shots, `${name}.pdf`), format: "A4" });
        expect(pdf.length > 10_000, `${file}: printed ${pdf.length} bytes`);
      }
      await page.context().close();
    }
    const phone = await visit(browser, file, problems, { viewport: { width: 360, height: 720 } });
    const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wide <= 0, `${file} is wider than a phone by ${wide}`);
    await phone.context().close();
  }
}

/** Sorting, filtering and following links, with the mouse. */
async function table() {
  const page = await visit(browser, index, problems);
  const total = await page.locator("#rows tr").count();
  expect(/ failed$/.test((await column(page, 5))[0]), "failures are not first");
  await page.click("[data-key=score]");
  const scores = async () => (await column(page, 7)).filter(Boolean).map(Number);
  const up = await scores();
  expect(up.length > 1 && up.every((v, i) => i === 0 || up[i - 1] <= v), `not ascending: ${up}`);
  expect((await sortedBy(page, "score")) === "ascending", "aria-sort is not ascending");
  await page.click("[data-key=score]");
  const down = await scores();
  expect(down.every((v, i) => i === 0 || down[i - 1] >= v), `not descending: ${down}`);
  expect((await sortedBy(page, "score")) === "descending" && (await sortedBy(page, "status")) === "none", "aria-sort");
  await page.selectOption("#status", "failed");
  const failed = await column(page, 5);
  expect(failed.length > 0 && failed.length < total && failed.every((s) => s.includes("failed")), `failed: ${failed}`);
  expect((await count(page)).startsWith(`${failed.length} of ${total} scans`), `count: ${await count(page)}`);
  const code = await page.locator("#rows .why a").first().getAttribute("href");
  await page.locator("#rows .why a").first().click();
  expect(await page.locator(`[id="${code.slice(1)}"]:target`).isVisible(), `${code} leads nowhere`);
  await page.selectOption("#status", "");
  await page.selectOption("#kind", "bold");
  expect((await column(page, 4)).every((kind) => kind === "bold"), "the filter of kinds lets others through");
  await page.fill("#text", "SUB-02 rest");
  expect((await column(page, 1)).join() === "sub-02", `text: ${await column(page, 1)}`);
  await page.locator("#rows th a").first().click();
  expect(page.url().endsWith("/sub-02.html"), `the row leads to ${page.url()}`);
  await page.locator("a[href='index.html']").first().click();
  expect(page.url().endsWith("/index.html"), `no way back: ${page.url()}`);
  const links = await page.$$eval("a[href]", (all) => all.map((a) => new URL(a.href ?? a.href.baseVal, location).href));
  const known = new Set(["index.html", ...pages()].map((name) => new URL(name, page.url()).href));
  const lost = links.filter((link) => !known.has(link.split("#")[0]));
  expect(lost.length === 0, `links to nothing: ${lost}`);
  await page.context().close();
}

/** The same without a mouse. */
async function keyboard() {
  const page = await visit(browser, index, problems);
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement.classList.contains("skip")), "no way past the head");
  const reach = async (selector) => {
    for (let n = 0; n < 400; n += 1) {
      if (await page.evaluate((s) => document.activeElement.matches(s), selector)) return true;
      await page.keyboard.press("Tab");
    }
    problems.push(`Tab does not reach ${selector}`);
    return false;
  };
  await reach("#text");
  await page.keyboard.type("sub-0");
  await reach("[data-key=seconds]");
  await page.keyboard.press("Enter");
  expect((await sortedBy(page, "seconds")) === "ascending", "Enter does not sort");
  await page.keyboard.press("Space");
  expect((await sortedBy(page, "seconds")) === "descending", "Space does not sort");
  await reach(".mark");
  const told = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  await page.keyboard.press("Home");
  const [first] = [await told()];
  await page.keyboard.press("ArrowRight");
  const second = await told();
  expect(/ 1 of \d+ /.test(first) && / 2 of \d+ /.test(second), `arrows: ${first} / ${second}`);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement.querySelector("circle")).opacity);
  expect(outline === "1", "the focused dot cannot be seen");
  await page.keyboard.press("Enter");
  await page.waitForURL(/sub-.*\.html$/);
  expect(second.startsWith(page.url().match(/(sub-[^/]+)\.html$/)[1]), `${second} leads to ${page.url()}`);
  await page.context().close();
}

/** A dot follows the pointer, and is a link to the participant's page. */
async function dots() {
  const page = await visit(browser, index, problems);
  const plot = page.locator(".plots figure").first();
  await plot.scrollIntoViewIfNeeded();
  const svg = plot.locator("svg.dots");
  const box = await svg.boundingBox();
  await page.mouse.move(box.x + 3, box.y + box.height / 2);
  expect(/ 1 of \d+ /.test(await plot.locator("title").textContent()), "the left end is not the lowest value");
  await page.mouse.move(box.x + box.width - 3, box.y + box.height / 2);
  const told = await plot.locator(".told").textContent();
  expect(/ (\d+) of \1 /.test(told), `the right end is not the highest value: ${told}`);
  await page.mouse.down();
  await page.mouse.up();
  await page.waitForURL(/sub-.*\.html$/);
  expect(told.startsWith(page.url().match(/(sub-[^/]+)\.html$/)[1]), `${told} leads to ${page.url()}`);
  await page.context().close();
}

/** The page of a participant: everything that opens, toggles or slides does so by keyboard, and changes what is seen. */
async function subject() {
  let controlled = 0;
  for (const name of pages()) {
    const page = await visit(browser, join(output, name), problems);
    problems.push(...(await undrawn(page)).map((source) => `${name}: not drawn: ${source}`));
    const controls = page.locator("main :is(input, button, select, summary):visible");
    const many = await controls.count();
    for (let n = 0; n < many; n += 1) {
      const control = controls.nth(n);
      const kind = await control.evaluate((e) => e.type ?? e.localName);
      if (kind === "select-one" || (await control.evaluate((e) => e.disabled))) continue;
      const figure = control.locator("xpath=ancestor-or-self::*[self::details or @class='viewer'][1]");
      const before = await figure.screenshot();
      await control.focus();
      await page.keyboard.press(kind === "radio" ? "ArrowRight" : "Space");
      const after = await figure.screenshot();
      expect(!before.equals(after), `${name}: ${await control.evaluate((e) => e.outerHTML.slice(0, 120))} changes nothing`);
    }
    controlled += many;
    console.log(`${name}: ${many} controls`);
    await page.context().close();
  }
  expect(controlled > 0, "no page has a control");
}

/** Thousands of scans: how large the page is, and that everything works on all of them. Times are told, not judged. */
async function many() {
  const size = statSync(index).size;
  const start = performance.now();
  const page = await visit(browser, index, problems);
  await page.waitForFunction(() => document.querySelector("#rows tr"));
  const loaded = performance.now() - start;
  const work = (name) => page.evaluate((what) => {
    const begin = performance.now();
    if (what === "sort") document.querySelector("[data-key=scan]").click();
    else {
      document.querySelector("#text").value = "sub-0001";
      document.querySelector("#text").dispatchEvent(new Event("input"));
    }
    document.body.getBoundingClientRect();
    return performance.now() - begin;
  }, name);
  const sorted = await work("sort");
  const names = (await column(page, 3)).slice(0, 3);
  const all = Number((await count(page)).match(/of (\d+) scans/)[1]);
  await page.click("#next");
  expect((await count(page)).includes("101 to 200 shown"), `second hundred: ${await count(page)}`);
  expect((await column(page, 3))[0] !== names[0], "the second hundred is the first");
  const filtered = await work("filter");
  const found = await column(page, 1);
  expect(found.join() === "sub-0001,sub-0001", `found: ${found}`);
  // On paper everything that the filter leaves is there, and without one everybody.
  await page.fill("#text", "");
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  const printed = await page.locator("#rows tr").count();
  expect(printed === all, `${printed} of ${all} rows would be printed`);
  await page.evaluate(() => dispatchEvent(new Event("afterprint")));
  expect((await page.locator("#rows tr").count()) === 100, "after printing all rows stay");
  const plot = page.locator(".plots figure").first();
  await plot.scrollIntoViewIfNeeded();
  await plot.locator("svg").waitFor();
  problems.push(...(await inaccessible(page)));
  await page.screenshot({ path: join(shots, `many-${all}.png`) });
  const ms = (value) => `${value.toFixed(0)} ms`;
  console.log(`${all} scans: ${size} bytes, loaded in ${ms(loaded)}, sorted in ${ms(sorted)}, filtered in ${ms(filtered)}`);
  await page.context().close();
}

/** Names and messages that try to be markup or script are shown as they are. */
async function hostile() {
  for (const file of [index, ...pages().map((name) => join(output, name))]) {
    const page = await visit(browser, file, problems);
    await undrawn(page);
    expect(await page.evaluate(() => globalThis.taken === undefined), `${file}: a message became script`);
    expect((await page.locator("img[src='x'], b.evil, [onerror]").count()) === 0, `${file}: a message became markup`);
    await page.context().close();
  }
  const page = await visit(browser, index, problems);
  const text = await page.locator("#rows").textContent();
  expect(text.includes("</script><script>taken=1</script>"), `the message is not shown: ${text.slice(0, 300)}`);
  await page.context().close();
}

const checks = { looks, table, keyboard, dots, subject, many, hostile };
try {
  await checks[check]();
} catch (error) {
  problems.push(`the check stopped: ${error.stack}`);
} finally {
  await browser.close();
}
for (const problem of problems) console.log(`PROBLEM ${problem}`);
console.log(`${check}: ${problems.length} problems`);
process.exit(problems.length > 0 ? 1 : 0);
