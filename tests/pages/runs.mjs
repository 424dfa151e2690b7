// The pages of runs, looked at and used in a browser: parts of look.mjs. Their service runs nothing, so the runs are
// written into its database and its folders.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TEXTS } from "./hostile.mjs";

const CREATED = Date.UTC(2026, 10, 30, 2, 13, 44);
const time = (seconds) => new Date(CREATED + 1000 * seconds).toISOString();
const quoted = (value) => (value === null ? "NULL" : typeof value === "number" ? value : `'${String(value).replaceAll("'", "''")}'`);

/** Lines of the log of both streams. */
export const records = (texts, stream = "stdout") =>
  texts.map((text, seq) => `${JSON.stringify({ seq, time: time(seq), stream, text })}\n`).join("");

/** Stores a run, with the files of its only attempt; `record` has what is special about it. */
export function store(data, id, status, files = {}, record = {}) {
  const folder = join(data, "test-runs", id);
  mkdirSync(join(folder, "attempt-1"), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, "attempt-1", name), content);
  const isOver = status !== "running";
  const finished = isOver ? time(70) : null;
  const attempt = {
    number: 1, started: time(4), finished, engine: "Docker 28", stdoutBytes: 10, stderrBytes: 5, oom: false, timedOut: false, truncated: false,
    phases: [{ name: "pull", started: time(4), finished: time(8) }, { name: "main", started: time(8), finished }],
  };
  const whole = {
    id, job: { name: "ship-detection", jobVersion: "2.3.0", packageVersion: "1.0.0" }, image: { reference: "ship-detection-2.3.0-seed:1.0.0" },
    manifest: { seedVersion: "1.0.0", job: { name: "ship-detection", jobVersion: "2.3.0", packageVersion: "1.0.0", title: "Ship detection", description: "", maintainer: { name: "a", email: "b" }, timeout: 60 } },
    given: { json: { MATCH_AIS: true }, settings: { AIS_TOKEN: "*****" }, mounts: { COASTLINE: "/srv/coastline" } },
    container: { command: ["detect", "--min", "20 m"], environment: [{ name: "AIS_TOKEN", value: "*****", secret: true }], memory: 12884901888, cpus: 4, binds: [{ source: "/runs/1", target: "/output", readOnly: false }], network: "none", timeoutSeconds: 2700 },
    dockerRun: "docker run --rm --init --network none ship-detection-2.3.0-seed:1.0.0", status, phase: isOver ? "done" : "main", progress: isOver ? 100 : 20,
    message: "", error: null, warnings: [], attempts: [attempt], maxTries: 3, willRetry: false, created: time(0), started: time(4), finished, updated: time(70),
    outputs: null, folder, owner: "admin", label: "north sea, at night", tags: ["north-sea"], priority: 4, ...record,
  };
  const row = {
    id, owner: "admin", label: whole.label, tags: JSON.stringify(whole.tags), job_name: whole.job.name, job_version: whole.job.jobVersion,
    package_version: whole.job.packageVersion, image: whole.image.reference, status, phase: whole.phase, progress: whole.progress, message: "",
    error_name: whole.error?.name ?? null, error_category: whole.error?.category ?? null, priority: 4, attempts: 1, max_tries: 3, created_at: CREATED,
    started_at: CREATED + 4000, finished_at: isOver ? CREATED + 70000 : null, updated_at: CREATED + 70000, due_at: CREATED,
    spec: JSON.stringify({ image: "a", pinned: "b", files: [], json: {}, settings: {}, mounts: {}, layout: "silo" }), record: JSON.stringify(whole),
  };
  const names = Object.keys(row);
  const sql = `.timeout 10000\nINSERT INTO runs (owner_id, ${names.join(", ")}) SELECT id, ${names.map((name) => quoted(row[name])).join(", ")} FROM users WHERE username = 'admin';`;
  execFileSync("sqlite3", [join(data, "silo.db")], { input: sql });
  return folder;
}

/** The runs of these parts; returns the folder of the one that goes on. */
function storeAll(data) {
  const COLOURS = [...Array(8).keys()].flatMap((colour) => [`\u001b[${30 + colour}mcolour ${colour}\u001b[0m \u001b[${90 + colour}mlight\u001b[0m`, `\u001b[${40 + colour};31mon ${colour}\u001b[0m`, `\u001b[7;${30 + colour}mreversed\u001b[0m \u001b[2mfaint\u001b[0m`]);
  const lines = [...Array(2400).keys()].map((number) => `tile ${number + 1}/2400`);
  store(data, "run-over", "successful", { "combined.ndjson": records(lines), "_stdout.txt": `${lines.join("\n")}\n`, "_stderr.txt": COLOURS.join("\n") }, {
    outputs: {
      files: [{ name: "DETECTIONS", files: [{ path: "sub/detections.geojson", size: 192512, sha256: "ab".repeat(32), mediaType: "application/geo+json" }] }, { name: "QUICKLOOK", files: [] }],
      json: { SHIP_COUNT: 62 }, extra: [{ path: "table.csv", size: 900 }], inputMetadata: {}, bytes: 193412, problems: [], warnings: ["QUICKLOOK was not made."],
    },
  });
  store(data, "run-failed", "failed", { "combined.ndjson": records(COLOURS, "stderr"), "_stderr.txt": COLOURS.join("\n") }, {
    error: { name: "no-water", title: "No water", description: "There is no sea in the image.", category: "data", exitCode: 30, signal: null, oom: false, retryable: false },
    warnings: ["The image has no date."],
  });
  const hostile = [...TEXTS.map((text) => text.replace(/[\r\n]/g, " ")), "x".repeat(100000), "\u001b]8;;javascript:alert(1)\u001b\\link\u001b]8;;\u001b\\"];
  store(data, "run-hostile", "failed", { "combined.ndjson": records(hostile), "_stdout.txt": hostile.join("\n"), "_stderr.txt": hostile.join("\n") }, {
    error: { name: TEXTS[0], title: TEXTS[1], description: TEXTS.join(" "), category: "job", exitCode: 1, signal: null, oom: false, retryable: false }, label: TEXTS[2], tags: [TEXTS[3]],
  });
  return store(data, "run-running", "running", { "combined.ndjson": records(lines.slice(0, 1200)), "_stdout.txt": `${lines.slice(0, 1200).join("\n")}\n`, "_stderr.txt": "" });
}

const RUN_PAGES = [
  ["runs", "/runs", 200],
  ["no runs", "/runs?job=none", 200],
  ["a run that is over", "/run/run-over", 200],
  ["a run that failed", "/run/run-failed", 200],
  ["a run that goes on", "/run/run-running", 200],
  ["a log", "/run/run-over/log/stdout?from=1201", 200],
  ["a search in a log", "/run/run-over/log/stdout?grep=99", 200],
  ["colours", "/run/run-over/log/stderr", 200],
  ["an empty log", "/run/run-running/log/stderr", 200],
  ["a hostile run", "/run/run-hostile", 200],
  ["a hostile log", "/run/run-hostile/log/stdout", 200],
];

/** The parts; `look` has what all parts share. */
export function runParts({ open, check, same, looksRight, data }) {
  let folder;

  async function logIn(page, visit) {
    await visit("/session");
    await page.fill("#username", "admin");
    await page.fill("#password", process.env.SILO_TEST_PASSWORD);
    await Promise.all([page.waitForURL((at) => !at.pathname.endsWith("/session")), page.click("#login button")]);
  }

  async function appearance() {
    folder = storeAll(data);
    const { page, visit, close } = await open({ bypassCSP: true });
    await logIn(page, visit);
    for (const [name, path, status] of RUN_PAGES) {
      await visit(path, status);
      await looksRight(page, name);
    }
    await close("appearance of runs");
  }

  /** Under the policy: nothing is reported, no text acts. */
  async function policy() {
    const { page, visit, close } = await open();
    await logIn(page, visit);
    for (const [, path, status] of RUN_PAGES) {
      await visit(path, status);
      await page.waitForTimeout(200);
      check(!(await page.evaluate(() => document.querySelector("main :is(script, iframe, object, embed, style, base, link, video, math, img:not([src^='/run/']))"))), `${path}: no element of a text`);
    }
    await close("policy of runs");
  }

  async function withoutScripts() {
    const { page, visit, close } = await open({ javaScriptEnabled: false });
    await logIn(page, visit);
    await page.click("nav >> text=Runs");
    await page.click(".parts >> text=successful");
    same(await page.locator("tbody tr").count(), 1, "no scripts: a tab narrows the list");
    await page.click("tbody td a");
    same(await page.textContent("h1"), "Ship detection", "no scripts: a run");
    await page.click(".log .bar >> text=stdout");
    await page.fill("[name=grep]", "TILE 1234/");
    await page.press("[name=grep]", "Enter");
    check((await page.textContent(".log .step")).startsWith("1 of 2400 lines"), "no scripts: a search in a log");
    await page.click(".log li a");
    check(page.url().endsWith("?from=734#L1234"), `no scripts: a hit leads to its line: ${page.url()}`);
    await page.click("text=Earlier 733 lines");
    same(await page.locator(".log li").first().getAttribute("id"), "L1", "no scripts: earlier lines");
    await close("runs without scripts");
  }

  /** A run that goes on: new lines, earlier lines, the keys, and its end. */
  async function live() {
    const { page, visit, close } = await open();
    await logIn(page, visit);
    await visit("/run/run-running");
    const list = page.locator("#log-view ol");
    const atEnd = () => list.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight < 24);
    await page.waitForSelector("text=Following");
    check(await atEnd(), "a log begins at its end");
    const log = join(folder, "attempt-1", "combined.ndjson");
    appendFileSync(log, records([...Array(300).keys()].map((number) => `later ${number}`)));
    await page.waitForSelector("#L1500");
    check(await atEnd(), "new lines are followed");
    await list.evaluate((list) => (list.scrollTop = 0));
    await page.waitForSelector("text=Not following");
    appendFileSync(log, records(["\u001b[31mred\u001b[0m <b>"]));
    await page.waitForSelector("#L1501", { state: "attached" });
    same(await list.evaluate((list) => list.scrollTop), 0, "who reads is not moved");
    same(await page.innerHTML("#L1501"), '<span class="a31">red</span> &lt;b&gt;', "a new line has its colours");
    await page.click("[data-earlier]");
    await page.waitForSelector("#L1", { state: "attached" });
    same(await list.locator("li").count(), 1501, "earlier lines come before");
    await page.locator("h1").click();
    await page.keyboard.press("g");
    check(await atEnd(), "g leads to the end");
    await page.click("text=Pause");
    appendFileSync(log, records(["while it is paused"]));
    await page.waitForSelector("text=Paused, 1 lines wait");
    same(await page.locator("#L1502").count(), 0, "a pause holds lines back");
    await page.click("text=Go on");
    await page.waitForSelector("#L1502");
    const times = page.locator(".log .bar >> text=Times");
    const drawn = () => page.locator("#L1502").evaluate((line) => getComputedStyle(line, "::before").content);
    check((await drawn()).includes("attr") || (await drawn()).length > 20, "a line has its time");
    await times.click();
    same(await times.getAttribute("aria-pressed"), "false", "times are off");
    await page.click(".log .bar >> text=Wrap");
    same(await page.locator("#L1502").evaluate((line) => getComputedStyle(line).whiteSpace), "pre", "lines are not wrapped");
    await visit("/run/run-running");
    same(await page.locator(".log .bar [aria-pressed=false]").count(), 2, "the browser keeps the switches");
    await looksRight(page, "a log without times and wrapping");
    await page.click(".acts >> text=Stop");
    await page.waitForSelector(".job-head .state >> text=stopped");
    same(await page.title(), "stopped: Ship detection – SILO", "the title has the state");
    await close("a run that goes on");
  }

  return [
    ["runs, appearance", appearance],
    ["runs, policy", policy],
    ["runs, no scripts", withoutScripts],
    ["runs, live", live],
  ];
}
