// The page of the system and those of batches in a browser: parts of look.mjs.

/** Pages of an admin. */
const PAGES = [
  ["system", "/admin/system", 200],
  ["all options", "/admin/system?options=all", 200],
  ["batches", "/batches", 200],
  ["new batch", "/batches/new", 200],
  ["batch of no image", "/batches/new?image=999999", 404],
];

/** The parts; they share the rest with all others. */
export function systemParts({ open, check, same, looksRight }) {
  async function logIn(page, visit) {
    await visit("/session");
    await page.fill("#username", "admin");
    await page.fill("#password", process.env.SILO_TEST_PASSWORD);
    await Promise.all([page.waitForURL((at) => !at.pathname.endsWith("/session")), page.click("#login button")]);
  }

  async function systemAppearance() {
    const { page, visit, close } = await open({ bypassCSP: true });
    await logIn(page, visit);
    for (const [name, path, status] of PAGES) {
      await visit(path, status);
      await looksRight(page, name);
    }
    await close("appearance of the system and of batches");
  }

  /** Under the content security policy, without scripts. */
  async function systemTasks() {
    const { page, visit, expect, close } = await open({ javaScriptEnabled: false });
    await logIn(page, visit);
    await visit("/admin/system");
    same(await page.textContent("h1"), "System", "the page of the system");
    same(await page.$$eval(".charts svg[aria-label]", (charts) => charts.length), 4, "four charts with a text");
    await page.click("text=Show all options");
    check(await page.isVisible("text=scan.workers"), "all options are shown");
    await visit("/batches");
    await page.click("text=New batch");
    expect(404);
    await page.fill("#image", "nobody/knows:1");
    await page.click(".batch .ask button");
    check((await page.textContent("#problem")).includes("nobody/knows:1"), "an unknown image is told");
    same(await page.inputValue("#image"), "nobody/knows:1", "and stays in its field");
    await close("the system and batches, no scripts");
  }

  return [
    ["appearance of the system", systemAppearance],
    ["the system and batches", systemTasks],
  ];
}
