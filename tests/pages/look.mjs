// Looks at the pages of a running service with Chromium: look.mjs URL FOLDER_OF_HOSTILE_LAYOUT DATA_OF_THE_SERVICE [WORDS]
// With words, only the parts whose names contain them, separated by commas, run.
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { chromium } from "playwright-core";
import { adminParts } from "./admin.mjs";
import { TEXTS } from "./hostile.mjs";
import { keyboardParts } from "./keyboard.mjs";
import { reconnects } from "./reconnect.mjs";
import { runParts } from "./runs.mjs";
import { runForm } from "./run-form.mjs";
import { sessionParts } from "./session.mjs";
import { systemParts } from "./system.mjs";
import { tenTasks } from "./tasks.mjs";

const [url, hostile, data, words] = process.argv.slice(2);
const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** Pages and states: name, path, expected status. */
const PAGES = [
  ["home", "/", 200],
  ["search", "/search?q=image", 200],
  ["narrowed", "/search?facet.gpu=false&facet.tag=optical&sort=name", 200],
  ["images", "/search?kind=image", 200],
  ["corrected", "/search?q=vegetaton", 200],
  ["nothing found", "/search?q=zzzzqqqq", 200],
  ["nothing left", "/search?facet.tag=none", 200],
  ["job", "/job/ship-detection", 200],
  ["run form of a stranger", "/job/ship-detection/2.3.0/1.0.0/run", 200],
  ["job with versions", "/job/ndvi", 200],
  ["older version", "/job/ndvi/1.2.0/1.0.0", 200],
  ["comparison", "/job/ndvi/compare/1.2.0..1.10.0", 200],
  ["no such job", "/job/none", 404],
  ["new", "/new", 200],
  ["check", "/validate", 200],
  ["checked", "/validate?example=valid", 200],
  ["mistakes", "/validate?example=faulty", 200],
  ["help", "/help", 200],
  ["problems", "/help/problems", 200],
  ["login", "/session", 200],
  ["not found", "/no/such/cloud-mask", 404],
  ["not understood", "/search?facet.colour=red", 400],
];
const WIDTHS = [1280, 390, 360];
const SCHEMES = ["light", "dark"];

const failures = [];
let checks = 0;
function check(isRight, what) {
  checks += 1;
  if (!isRight) {
    failures.push(what);
    console.error(`  wrong: ${what}`);
  }
}
const same = (found, expected, what) =>
  check(JSON.stringify(found) === JSON.stringify(expected), `${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A page that records what must not happen: console messages, errors, dialogs, requests to elsewhere. */
async function open(options = {}, base = url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, baseURL: base, ...options });
  context.setDefaultTimeout(30000);
  const page = await context.newPage();
  const noted = [];
  let expected = 200;
  // A page that is an error is itself reported as a failed load; what a logout clears is reported, too.
  const isUsual = (text) => (expected >= 400 && text.includes(`status of ${expected}`)) || text.startsWith("Clear-Site-Data header");
  page.on("console", (message) => {
    if (!isUsual(message.text())) noted.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => noted.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    noted.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (asked) => {
    if (!asked.url().startsWith(url) && !asked.url().startsWith(base)) noted.push(`request to ${asked.url()}`);
  });
  const visit = async (path, status = 200) => {
    expected = status;
    const reply = await page.goto(base + path);
    check(reply.status() === status, `${path}: status ${reply.status()}, not ${status}`);
  };
  const close = async (what) => {
    same(noted, [], `${what}: nothing else happens`);
    await context.close();
  };
  const expect = (status) => (expected = status);
  return { page, visit, expect, close };
}

/** No page scrolls sideways, and axe finds nothing, at each width in each scheme. */
async function appearance() {
  // axe is not one of our own scripts. Messages about the policy are looked for without it, below.
  const { page, visit, close } = await open({ bypassCSP: true });
  for (const [name, path, status] of PAGES) {
    await visit(path, status);
    await looksRight(page, name);
  }
  await close("appearance");
}

/** The page that is open does not scroll sideways, and axe finds nothing, at each width in each scheme. */
async function looksRight(page, name) {
  await page.evaluate(axe);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    for (const details of await page.$$("details.fewer:not([open]) > summary, details.fold:not([open]):not([name]) > summary")) {
      if (await details.isVisible()) await details.click();
    }
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(over <= 0, `${name}, ${width} wide: ${over} px too wide`);
      const { violations } = await page.evaluate(() =>
        axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html).join(" ")}`);
      same(found, [], `${name}, ${width} wide, ${colorScheme}: axe`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** Nothing is reported and nothing comes from elsewhere, under the content security policy. */
async function policy() {
  const { page, visit, close } = await open();
  for (const [name, path, status] of PAGES) {
    await visit(path, status);
    await page.waitForLoadState("networkidle");
    const parts = await page.evaluate(() => ["main", "h1", "nav[aria-label=Main]", "search"].map((part) => document.querySelectorAll(part).length));
    same(parts, [1, 1, 1, 1], `${name}: one main, h1, main nav and search`);
  }
  await close("policy");
}

/** Everything works by links and forms. */
async function withoutScripts() {
  const { page, visit, close } = await open({ javaScriptEnabled: false });
  const heading = () => page.textContent("h1");
  await visit("/");
  same(await heading(), "All 12 jobs", "no scripts: the start page");
  await page.fill("#find input", "image");
  await page.press("#find input", "Enter");
  same(await heading(), "10 jobs for “image”", "no scripts: a search");
  await page.check('input[name="facet.output"][value="application/geo+json"]');
  await page.click("#narrow button");
  same(await heading(), "2 jobs for “image”", "no scripts: a facet");
  await page.selectOption("select[name=sort]", "name");
  await page.click(".results-head button");
  same(await page.textContent(".hit h2"), "Change detection between two dates", "no scripts: another order");
  await page.click(".chips .on");
  same(await heading(), "10 jobs for “image”", "no scripts: the facet is removed");
  await page.click("text=Show images");
  check(/^\d+ images for “image”$/.test(await heading()), `no scripts: images: ${await heading()}`);
  await page.click("nav >> text=Help");
  same(await heading(), "Help", "no scripts: help");
  await page.setViewportSize({ width: 390, height: 900 });
  await visit("/search?q=image");
  await page.click("text=Filters");
  await page.check('input[name="facet.gpu"][value="true"]');
  await page.click("#narrow button");
  same(await heading(), "1 job for “image”", "no scripts: filters on a phone");
  await visit("/job/ndvi");
  await page.selectOption(".job-head select", "1.2.0:1.0.0");
  await page.click(".job-head >> text=Show");
  same(page.url(), `${url}/job/ndvi/1.2.0/1.0.0`, "no scripts: another version");
  await page.click(".versions td a:has-text(\"Compare\")");
  same(page.url(), `${url}/job/ndvi/compare/1.10.0:1.1.0..1.2.0:1.0.0`, "no scripts: a comparison");
  await visit("/job/ndvi");
  await page.click("summary >> text=CWL tool");
  check(await page.isVisible("text=ndvi-1.10.0.cwl"), "no scripts: one of several commands is shown");
  await visit("/new");
  await page.click(".events a >> nth=0");
  check(page.url().startsWith(`${url}/job/`), `no scripts: an event leads to its job: ${page.url()}`);
  await page.click("nav >> text=Validate");
  await page.fill("#manifest", '{\n  "seedVersion": "1.0.0",\n  "jbo": {}\n}');
  await page.click("#validate button");
  check((await page.textContent("#report h2")).includes("error"), "no scripts: a text is checked");
  same(await page.inputValue("#manifest"), '{\n  "seedVersion": "1.0.0",\n  "jbo": {}\n}', "no scripts: the text stays");
  await close("no scripts");
}

/** Search as you type, suggestions, the keyboard, theme and copies. */
async function withScripts(base) {
  const where = base === url ? "" : " below a prefix";
  const { page, visit, expect, close } = await open({ permissions: ["clipboard-read", "clipboard-write"], colorScheme: "light" }, base);
  const heading = (text) => page.waitForFunction((text) => document.querySelector("h1").textContent === text, text).then(() => true, () => false);
  const path = () => page.url().slice(base.length);

  await visit("/search");
  await page.keyboard.press("/");
  same(await page.evaluate(() => document.activeElement.name), "q", `the search field has the focus${where}`);
  await page.keyboard.type("image");
  check(await heading("10 jobs for “image”"), `results while typing${where}`);
  same(path(), "/search?q=image", `the address while typing${where}`);
  same(await page.evaluate(() => document.activeElement.name), "q", `the focus while typing${where}`);
  same(await page.title(), "10 jobs for “image” – SILO", `the title while typing${where}`);
  same(await page.textContent("#said"), "10 jobs for “image”", `what is said while typing${where}`);

  await page.keyboard.press("Escape");
  const geojson = page.locator('input[name="facet.output"][value="application/geo+json"]');
  await geojson.focus();
  await page.keyboard.press("Space");
  check(await heading("2 jobs for “image”"), `a facet narrows at once${where}`);
  same(await page.evaluate(() => document.activeElement.value), "application/geo+json", `the focus stays at the facet${where}`);
  same(path(), "/search?q=image&facet.output=application%2Fgeo%2Bjson", `the address has the facet${where}`);
  await page.goBack();
  check(await heading("10 jobs for “image”"), `back without the facet${where}`);
  await page.selectOption("select[name=sort]", "name");
  await page.waitForFunction(() => document.querySelector(".hit h2").textContent.startsWith("Burn severity"));
  same(path(), "/search?q=image&sort=name", `the address has the order${where}`);

  // From any page to a job by the keyboard alone.
  await visit("/help");
  await page.keyboard.press("/");
  await page.keyboard.type("ship");
  await page.waitForSelector("#suggestions li");
  same(await page.getAttribute("#find input", "aria-expanded"), "true", `suggestions are announced${where}`);
  await page.keyboard.press("ArrowDown");
  same(await page.textContent("[aria-selected=true]"), "Ship detectionship-detection", `the first suggestion${where}`);
  // Only the address matters here.
  expect(404);
  await Promise.all([page.waitForURL(`${base}/job/ship-detection`), page.keyboard.press("Enter")]);

  // Enter without a suggestion searches.
  await visit("/help");
  await page.keyboard.press("/");
  await page.keyboard.type("ship");
  await page.waitForSelector("#suggestions li");
  await page.keyboard.press("Escape");
  check(await page.isHidden("#suggestions"), `Escape closes the suggestions${where}`);
  await Promise.all([page.waitForURL(`${base}/search?q=ship`), page.keyboard.press("Enter")]);

  await visit("/validate");
  const reported = (word) => page.waitForFunction((word) => document.querySelector("#report h2")?.textContent.includes(word), word).then(() => true, () => false);
  await page.fill("#manifest", '{\n  "seedVersion": "1.0.0",\n  "jbo": {}\n}');
  check(await reported("error"), `a text is checked while typing${where}`);
  same(path(), "/validate", `the page stays${where}`);
  await page.locator("#report li", { hasText: "unknown-field" }).locator("[data-line]").click();
  same(await page.evaluate(() => {
    const { selectionStart, value } = document.activeElement;
    return value.slice(0, selectionStart).split("\n").length;
  }), 3, `a place leads into the field${where}`);
  const whole = await (await fetch(`${url}/validate?example=valid`)).text();
  const file = whole.match(/<textarea[^>]*>\n([^<]*)/)[1].replaceAll("&#34;", '"');
  await page.setInputFiles("#validate [type=file]", { name: "seed.manifest.json", mimeType: "application/json", buffer: Buffer.from(file) });
  check(await reported("Valid"), `a file is checked${where}`);
  same(await page.inputValue("#manifest"), file, `the field has the file's text${where}`);

  await visit("/help");
  await page.click(".copy button");
  await page.waitForFunction(() => document.querySelector(".copy button").textContent === "Copied");
  same(await page.evaluate(() => navigator.clipboard.readText()), await page.textContent(".copy code"), `the copy${where}`);

  await visit("/job/ndvi");
  await page.selectOption(".job-head select", "1.2.0:1.0.0");
  await page.waitForURL(`${base}/job/ndvi/1.2.0/1.0.0`);

  await page.click("#theme");
  same(await page.getAttribute("html", "data-theme"), "dark", `the theme changes${where}`);
  const reply = await page.reload();
  check((await reply.text()).includes('data-theme="dark"'), `the server writes the theme${where}`);
  await close(`with scripts${where}`);
}

/** Every control is reached by Tab, and the focus is visible. */
async function tabs() {
  const { page, visit, close } = await open();
  await visit("/search?q=image");
  const seen = new Set();
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      const box = document.activeElement.getBoundingClientRect();
      return { tag: document.activeElement.tagName, isVisible: outlineStyle !== "none" && outlineWidth !== "0px" && box.width > 0 };
    });
    if (at.tag === "BODY") break;
    seen.add(at.tag);
    check(at.isVisible, `the focus is visible at stop ${step}: ${at.tag}`);
  }
  same([...seen].sort(), ["A", "BUTTON", "INPUT", "SELECT", "SUMMARY"], "what Tab reaches");
  await close("tabs");
}

/** Proxies that add a path. */
async function belowPrefix(use) {
  const prefix = "/tools/silo";
  const proxy = createServer((asked, answer) => {
    if (!asked.url.startsWith(`${prefix}/`)) return answer.writeHead(404).end();
    const headers = { ...asked.headers, "x-forwarded-prefix": prefix };
    const passed = request(url + asked.url.slice(prefix.length), { method: asked.method, headers }, (reply) => {
      answer.writeHead(reply.statusCode, reply.headers);
      reply.pipe(answer);
    });
    asked.pipe(passed);
  });
  await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
  await use(`http://127.0.0.1:${proxy.address().port}${prefix}`);
  proxy.closeAllConnections();
  proxy.close();
}

/** Adds the registry of hostile manifests, and waits until it is scanned. */
async function addHostile() {
  const post = async (path, body, token) => {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const reply = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  };
  const { token } = await post("/api/v1/login", { username: "admin", password: process.env.SILO_TEST_PASSWORD });
  const registry = await post("/api/v1/registries", { name: "hostile", url: hostile, schedule: "off" }, token);
  let scan = await post(`/api/v1/registries/${registry.id}/scans`, {}, token);
  while (["queued", "running"].includes(scan.state)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    scan = await (await fetch(`${url}/api/v1/scans/${scan.id}`, { headers: { authorization: `Bearer ${token}` } })).json();
  }
}

/** The text of an element as a person reads it, with the boxes of hidden characters turned back. */
const read = (element) => {
  const copy = element.cloneNode(true);
  for (const box of copy.querySelectorAll(".hidden-char")) {
    box.replaceWith(String.fromCodePoint(Number.parseInt(box.textContent.slice(2), 16)));
  }
  return copy.textContent;
};

/** Texts of others do nothing, and are shown as they are. */
async function hostileTexts() {
  await addHostile();
  const { page, visit, close } = await open();
  // Control characters are blanks in the catalogue; long titles are cut.
  const plain = (text) => [...text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, " ")].slice(0, 190).join("").trim();
  const shown = new Set();
  let next = "/search?facet.tag=hostile&kind=image&sort=name";
  const jobs = [];
  while (next) {
    await visit(next);
    jobs.push(...(await page.$$eval(".hit h2 a", (titles) => titles.map((title) => title.getAttribute("href")))));
    for (const title of await page.$$(".hit h2 a")) shown.add([...(await title.evaluate(read))].slice(0, 190).join("").trim());
    const link = await page.$("a[rel=next]");
    next = link && (await link.getAttribute("href"));
  }
  for (const text of TEXTS) check(shown.has(plain(text)), `shown as it is: ${JSON.stringify(text.slice(0, 60))}`);
  for (const text of TEXTS) {
    const query = text.slice(0, 900);
    await visit(`/search?q=${encodeURIComponent(query)}`);
    same(await page.inputValue("#find input"), query.replace(/[\r\n]/g, "").replace(/^[ \t]+|[ \t]+$/g, ""), "the field has the query");
    check(!(await page.evaluate(() => document.querySelector("main :is(script, img, iframe, object, embed, style, base, link, video, math)"))), `no element of ${query}`);
  }
  for (const job of jobs) {
    await visit(job);
    const text = await page.$eval("h1", read);
    shown.delete([...text].slice(0, 190).join("").trim());
    check(!(await page.evaluate(() => document.querySelector("main :is(script, iframe, object, embed, style, base, link, video, math, template), main img:not([src*=badge])"))), `no element of ${text}`);
  }
  same([...shown], [], "every job's page has its title");
  // What is suggested, and what a script puts into the page.
  await visit("/search");
  for (const text of ["<img", "script", "alert", "zero", "onmouseover"]) {
    await page.fill("#find input", "");
    await page.fill("#find input", text);
    await page.waitForFunction((text) => document.querySelector("h1").textContent.includes(text), text);
  }
  await close("hostile texts");
}

const parts = [
  ["appearance", appearance],
  ["policy", policy],
  ["no scripts", withoutScripts],
  ["scripts", () => withScripts(url)],
  ["prefix", () => belowPrefix(withScripts)],
  ["run form", () => runForm({ open, check, same, looksRight })],
  ["tabs", tabs],
  ...sessionParts({ url, open, check, same, looksRight }),
  ...runParts({ open, check, same, looksRight, data }),
  ["a stream that breaks off", () => reconnects({ url, open, check, same, data })],
  ...keyboardParts({ url, open, check, same }),
  ["ten tasks", () => tenTasks({ url, open, check, same, hostile })],
  ...systemParts({ open, check, same, looksRight }),
  ...adminParts({ open, check, same, looksRight, hostile }),
  ["hostile texts", hostileTexts],
];
for (const [name, part] of parts.filter(([name]) => !words || words.split(",").some((word) => name.includes(word)))) {
  const started = Date.now();
  console.log(`-- ${name}`);
  try {
    await part();
  } catch (error) {
    check(false, `${name} breaks off: ${error.stack}`);
  }
  console.log(`   ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
await browser.close();
console.log(`${checks} checks, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
