// Shows the status page to a real browser, and says what is wrong with it.
//
//     node look.mjs URL EXPECTED.json [PICTURES]
//
// EXPECTED.json has the words that parts of the page have to show: {"p-recent": ["..."]}. With a folder for PICTURES it also
// takes them. The folder of the modules is CDN_USAGED_PAGE_TOOLS, and the browser CDN_USAGED_CHROMIUM or /usr/bin/chromium.

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const tools = process.env.CDN_USAGED_PAGE_TOOLS;
const require = createRequire(path.join(tools, "package.json"));
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [url, expectedFile, pictures] = process.argv.slice(2);
const expected = JSON.parse(fs.readFileSync(expectedFile, "utf8"));
const origin = new URL(url).origin;
const wrong = [];

const SIZES = { wide: { width: 1120, height: 1000 }, phone: { width: 360, height: 740 } };

function check(holds, what) {
  if (!holds) {
    wrong.push(what);
  }
}

// With a profile of its own, empty, that is gone afterwards.
const browser = await chromium.launch({
  executablePath: process.env.CDN_USAGED_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--proxy-server=direct://",
    // Whatever is not this machine is looked up nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
  ],
});

// A page of its own for each way to look, since without scripts is a property of the whole context.
async function open(name, { size, scheme, scripts }) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: scheme,
    javaScriptEnabled: scripts,
    locale: "en",
    timezoneId: "UTC",
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    check(!["error", "warning"].includes(message.type()), `${name}: the console says: ${message.text()}`);
  });
  page.on("pageerror", (error) => check(false, `${name}: ${error}`));
  page.on("request", (request) => {
    check(request.url().startsWith(`${origin}/`), `${name}: a request goes to ${request.url()}`);
  });
  page.on("requestfailed", (request) => check(false, `${name}: ${request.url()} failed: ${request.failure()?.errorText}`));
  page.on("response", (response) => check(response.ok(), `${name}: ${response.url()} is ${response.status()}`));
  await page.goto(url, { waitUntil: "networkidle" });
  return { context, page };
}

async function looksRight(name, page, size) {
  for (const [part, words] of Object.entries(expected)) {
    // Also what is folded away, and what is only read out.
    const text = (await page.locator(`#${part}`).textContent()) ?? "";
    const plain = text.replace(/\s+/g, " ");
    for (const word of words) {
      check(plain.includes(word), `${name}: #${part} does not show ${JSON.stringify(word)} but ${plain.slice(0, 600)}`);
    }
  }
  const { width, scroll } = { width: SIZES[size].width, scroll: await page.locator("html").evaluate((e) => e.scrollWidth) };
  check(scroll <= width, `${name}: it is ${scroll} wide on a screen of ${width}`);
}

async function isAccessible(name, page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  check(found.passes.length > 10, `${name}: axe looked at ${found.passes.length} rules only`);
  for (const violation of found.violations) {
    const where = violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 200));
    check(false, `${name}: axe: ${violation.impact}: ${violation.id}: ${violation.help}: ${where.join(" | ")}`);
  }
}

// The script changes what is new and nothing else: what is open, has the focus or is scrolled to stays.
async function staysInPlace(page) {
  await page.locator("details summary").first().click();
  await page.evaluate(() => window.scrollTo(0, 120));
  const before = await page.evaluate(() => [document.activeElement.id, window.scrollY, document.getElementById("p-head").textContent]);
  check(before[0] !== "" && before[1] === 120, `something has the focus and the page is scrolled: ${before}`);
  // What is told of now is another second by then.
  await page.waitForFunction((head) => document.getElementById("p-head").textContent !== head, before[2], { timeout: 30000 });
  const after = await page.evaluate(() => [
    document.activeElement.id,
    window.scrollY,
    document.querySelectorAll("details[open]").length,
  ]);
  check(after[0] === before[0] && after[1] === before[1] && after[2] === 1, `after a refresh: ${after}, before: ${before}`);
  check((await page.locator("#note").textContent()) === "Live", "it says that it is live");
  await page.locator("#pause").click();
  check((await page.locator("#pause").getAttribute("aria-pressed")) === "true", "it can be paused");
  check((await page.locator("#note").textContent()) === "Paused", "and says so");
}

const WAYS = {
  light: { size: "wide", scheme: "light", scripts: true },
  dark: { size: "wide", scheme: "dark", scripts: true },
  phone: { size: "phone", scheme: "light", scripts: true },
  "phone-dark": { size: "phone", scheme: "dark", scripts: true },
  "without-script": { size: "wide", scheme: "light", scripts: false },
};
try {
  for (const [name, way] of Object.entries(WAYS)) {
    const { context, page } = await open(name, way);
    await looksRight(name, page, way.size);
    if (pictures !== undefined) {
      await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: name !== "light" });
    }
    if (way.scripts) {
      const back = await page.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
      const isDark = back.match(/\d+/g).slice(0, 3).every((n) => Number(n) < 80);
      check(isDark === (way.scheme === "dark"), `${name}: the background is ${back}`);
      await isAccessible(name, page);
    } else {
      check(await page.locator("#pause").isHidden(), "without script there is nothing to pause");
      check(await page.getByText("Reload to see what is new").isVisible(), "without script it says how to see more");
    }
    if (name === "light" && process.env.CDN_USAGED_PAGE_LIVE === "1") {
      await staysInPlace(page);
    }
    await context.close();
  }
} finally {
  await browser.close();
}
for (const what of wrong) {
  console.log(what);
}
process.exitCode = wrong.length === 0 ? 0 : 1;
