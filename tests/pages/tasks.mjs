// Ten tasks, each from the first page to its end, by what a person sees: a part of look.mjs. The clicks (on links, buttons,
// boxes) and the fields that are filled are counted, and have to be those of the table in docs/design/pages.md.
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { logIn } from "./login.mjs";

const DOCUMENT = new URL("../../docs/design/pages.md", import.meta.url);
const SCENE = { name: "scene.png", mimeType: "image/png", buffer: Buffer.from("a scene") };

/** Rows of the table of tasks: name, clicks, fields. */
const documented = () =>
  [...readFileSync(DOCUMENT, "utf8").matchAll(/^\| (.+?) \| (\d+) \| (\d+) \|$/gm)].map(([, name, clicks, fields]) => [name, Number(clicks), Number(fields)]);

/** Requests of the REST interface by the admin, for what happened before somebody sits down. */
async function before(url) {
  const call = async (method, path, body, token) => {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const reply = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
    return reply.status === 204 ? null : reply.json();
  };
  const { token } = await call("POST", "/api/v1/login", { username: "admin", password: process.env.SILO_TEST_PASSWORD });
  const scan = async (registry) => {
    let { id, state } = await call("POST", `/api/v1/registries/${registry}/scans`, {}, token);
    while (["queued", "running"].includes(state)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      ({ state } = await call("GET", `/api/v1/scans/${id}`, undefined, token));
    }
    return state;
  };
  const add = (name, at) => call("POST", "/api/v1/registries", { name, url: at, schedule: "off" }, token);
  const remove = async () => {
    for (const { id, name } of await call("GET", "/api/v1/registries", undefined, token)) if (name !== "demo") await call("DELETE", `/api/v1/registries/${id}`, undefined, token);
  };
  return { add, scan, remove };
}

/** A registry of six images, five of which vanish. */
async function hold({ add, scan }, hostile, folder) {
  cpSync(hostile, folder, { recursive: true });
  const index = JSON.parse(readFileSync(`${folder}/index.json`, "utf8"));
  const keep = (count) => writeFileSync(`${folder}/index.json`, JSON.stringify({ ...index, manifests: index.manifests.slice(0, count) }));
  keep(6);
  const { id } = await add("harbour", folder);
  await scan(id);
  keep(1);
  return scan(id);
}

export async function tenTasks({ url, open, check, same, hostile }) {
  const folder = `${hostile}-held`;
  const api = await before(url);
  same(await hold(api, hostile, folder), "held", "the scan of a registry whose tags vanish");
  const tab = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  const { page, visit } = tab;
  await logIn(tab);
  let clicks = 0;
  let fields = 0;
  const click = async (target) => {
    clicks += 1;
    await (typeof target === "string" ? page.locator(target) : target).first().click();
  };
  const link = (name) => page.getByRole("link", { name, exact: true });
  const button = (name) => page.getByRole("button", { name, exact: true });
  const fill = async (label, text) => {
    fields += 1;
    await page.getByLabel(label).first().fill(text);
  };
  const heading = (text) => page.getByRole("heading", { level: 1, name: text, exact: true }).waitFor();
  const job = (title) => click(page.locator(".hit").getByRole("link", { name: title, exact: true }));

  // The registry comes late: its images would push jobs off the first page.
  const tasks = {
    "Find a job that takes NITF and gives GeoJSON": async () => {
      await click("summary:has-text('more of Takes')");
      await click(page.getByLabel("NITF"));
      await heading("1 job");
      await click(page.locator("[data-facet=output]").getByLabel("GeoJSON"));
      await page.waitForURL(/facet\.output=/);
      await job("Ship detection");
      await heading("Ship detection");
    },
    "Fill the form of a run and send it": async () => {
      await job("Image rotate");
      await click(page.getByRole("main").getByRole("link", { name: "Run", exact: true }));
      await page.setInputFiles("input[type=file]", SCENE);
      fields += 1;
      await page.waitForSelector("input[name^='sent.']");
      // The image is in a folder, which no engine can pull from.
      tab.expect(400);
      await click(button("Run"));
      await page.getByRole("alert").filter({ hasText: "load it into the engine" }).waitFor();
    },
    "Find out why a run failed": async () => {
      await click(link("Runs"));
      await click(page.getByRole("navigation", { name: "States" }).getByRole("link", { name: "failed" }));
      await click(page.getByRole("row").filter({ hasText: "no-water" }).getByRole("link"));
      await page.getByText("There is no sea in the image.").first().waitFor();
    },
    "Compare two versions": async () => {
      await job("Vegetation index (NDVI)");
      await click(page.locator(".versions").getByRole("link", { name: /^Compare/ }));
      await page.getByRole("heading", { level: 1, name: "What changed in ndvi" }).waitFor();
    },
    "Copy the command for docker": async () => {
      await job("Image rotate");
      await click(button("Copy command that loads the image"));
      check((await page.evaluate(() => navigator.clipboard.readText())).includes("docker"), "the command for docker is copied");
    },
    "Check a manifest": async () => {
      await click(link("Validate"));
      await fill("Text of seed.manifest.json", '{ "seedVersion": "1.0.0" }');
      await page.locator("#report h2").filter({ hasText: "error" }).waitFor();
    },
    "Add a registry": async () => {
      await click(link("Admin"));
      await click(link("Add a registry"));
      await fill("Address", hostile);
      await click(button("Find out its kind"));
      await fill("Name", "strangers");
      await click(button("Add and scan"));
      await heading("strangers");
    },
    "See what a scan could not read": async () => {
      await click(link("Admin"));
      await click(link("strangers"));
      await page.getByText("Problems of the last scan").waitFor();
      await click(page.locator("section:has(#problems) a"));
      await page.getByRole("heading", { level: 1, name: /^Problems of scan/ }).waitFor();
    },
    "Confirm a held scan": async () => {
      await click(link("Admin"));
      await click(link("5 held"));
      await fill("Type the name of the registry", "harbour");
      await click(button("Confirm, and remove them"));
      await heading("harbour");
    },
    "End a session on another machine": async () => {
      const other = await open();
      await logIn(other);
      await page.getByRole("link", { name: /^Account of/ }).first().waitFor();
      await click(page.getByRole("link", { name: /^Account of/ }));
      await click(page.getByRole("row").filter({ hasNotText: "this one" }).getByRole("button"));
      await page.getByRole("status").filter({ hasText: /./ }).first().waitFor();
      await other.visit("/account");
      same(new URL(other.page.url()).pathname, "/session", "the other session has ended");
      await other.close("the other session");
    },
  };

  const found = [];
  try {
    for (const [name, task] of Object.entries(tasks)) {
      clicks = 0;
      fields = 0;
      await visit("/");
      await task();
      found.push([name, clicks, fields]);
    }
    same(found, documented(), "clicks and fields of the tasks are those of docs/design/pages.md");
  } finally {
    console.log(found.map((row) => `   | ${row.join(" | ")} |`).join("\n"));
    await api.remove();
    rmSync(folder, { recursive: true });
  }
  await tab.close("ten tasks");
}
