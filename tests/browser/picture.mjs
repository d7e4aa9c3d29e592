// picture.mjs page|terminal SOURCE PICTURE: the top of a page, or a capture of a terminal with its colours, as a
// picture for the documentation.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { open, visit } from "./browser.mjs";

const [, , kind, source, picture] = process.argv;
const problems = [];
const browser = await open();

/** The capture as a page: lines of a fixed width, dark as most terminals are. */
async function terminal() {
  const { AnsiUp } = await import(createRequire(`${process.env.BROWSER_MODULES}/package.json`).resolve("ansi_up"));
  const text = readFileSync(source, "utf8").replace(/\s+$/, "");
  const style = "body{margin:0;background:#16191d}pre{display:inline-block;margin:0;padding:14px 18px;color:#e6eaee;" +
    "font:14px/1.35 'DejaVu Sans Mono',monospace}";
  const page = resolve(`${source}.html`);
  writeFileSync(page, `<!doctype html><meta charset="utf-8"><style>${style}</style><pre>${new AnsiUp().ansi_to_html(text)}</pre>`);
  const shown = await visit(browser, page, problems);
  await shown.locator("pre").screenshot({ path: picture });
}

async function page() {
  const shown = await visit(browser, resolve(source), problems, { viewport: { width: 1100, height: 860 } });
  await shown.waitForLoadState("networkidle");
  await shown.screenshot({ path: picture, type: "jpeg", quality: 80 });
}

await (kind === "terminal" ? terminal() : page());
await browser.close();
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
