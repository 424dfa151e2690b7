// The pages of admins, looked at and used in a browser: parts of look.mjs.

/** Pages of admins. The demo's registry has the id 1. */
const ADMIN_PAGES = [
  ["registries", "/admin/registries", 200],
  ["adding a registry", "/admin/registries/new", 200],
  ["registry", "/admin/registries/1", 200],
  ["problems of a scan", "/admin/registries/1/problems?scan=1", 200],
  ["repositories", "/admin/registries/1/repositories", 200],
  ["editing a registry", "/admin/registries/1/edit", 200],
  ["hook", "/admin/registries/1/hook", 200],
  ["deleting a registry", "/admin/registries/1/delete", 200],
  ["nothing held", "/admin/registries/1/held", 409],
  ["users", "/admin/users", 200],
  ["user", "/admin/users/1", 200],
];

/** The parts; `look` has what all parts share. */
export function adminParts({ open, check, same, looksRight, hostile }) {
  /** Logs in as the admin, through the form. */
  async function logIn(page, visit) {
    await visit("/session");
    await page.fill("#username", "admin");
    await page.fill("#password", process.env.SILO_TEST_PASSWORD);
    await Promise.all([page.waitForURL((at) => !at.pathname.endsWith("/session")), page.click("#login button")]);
  }

  /** The pages of admins, also with what is wrong with their forms. */
  async function adminAppearance() {
    const { page, visit, expect, close } = await open({ bypassCSP: true });
    await logIn(page, visit);
    for (const [name, path, status] of ADMIN_PAGES) {
      await visit(path, status);
      await looksRight(page, name);
    }
    await visit("/admin/registries/new");
    await page.fill("#url", hostile);
    await page.click("text=Find out its kind");
    same(await page.inputValue("#kind"), "layout", "the kind of an address");
    await looksRight(page, "the fields of a kind");
    await page.selectOption("#kind", "harbor");
    await page.click("text=Show its fields");
    await page.fill("#name", "  ");
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await page.fill("#schedule", "sometimes");
    expect(400);
    await page.evaluate(() => document.querySelectorAll("[required]").forEach((field) => (field.required = false)));
    await page.click("text=Add and scan");
    check(await page.isVisible("#schedule-problem"), "what is wrong is beside its field");
    await looksRight(page, "wrong fields");
    await close("appearance of admins' pages");
  }

  /** A registry and a user from the first click to the last, without and with scripts. */
  async function adminTasks(javaScriptEnabled) {
    const where = javaScriptEnabled ? "with scripts" : "no scripts";
    const name = javaScriptEnabled ? "live" : "plain";
    const { page, visit, close } = await open({ javaScriptEnabled });
    await logIn(page, visit);
    await page.click("nav >> text=Admin");
    await page.click("text=Add a registry");
    await page.fill("#url", hostile);
    await page.click("text=Find out its kind");
    await page.fill("#name", name);
    await page.click(".acts >> text=Check");
    await page.waitForSelector("text=The registry answers and accepts this");
    same(page.url().endsWith("/admin/registries/new"), true, `${where}: a check`);
    await page.click("text=Add and scan");
    same(await page.textContent("h1"), name, `${where}: the registry is added`);
    for (let tries = 0; tries < 600 && !(await page.isVisible("text=Last scan")); tries += 1) {
      if (!javaScriptEnabled) await page.reload();
      await page.waitForTimeout(100);
    }
    check(await page.isVisible("text=Last scan"), `${where}: the page shows the result of the scan`);
    await page.click(".acts >> text=Delete");
    await page.click(`button >> text=Delete ${name}`);
    check(await page.isVisible("text=The registry is deleted"), `${where}: the registry is deleted`);
    await page.click(".tabs >> text=Users");
    await page.fill("#add #username", name);
    await page.fill("#add #password", "a user of the pages");
    await page.click("text=Add the user");
    await page.click(`td >> text=${name}`);
    await page.selectOption("#role", "runner");
    await page.click("text=Change the role");
    check(await page.isVisible("text=The role is changed"), `${where}: another role`);
    await page.click(`button >> text=Delete ${name}`);
    check(await page.isVisible("text=The user is deleted"), `${where}: the user is deleted`);
    await close(`tasks of admins, ${where}`);
  }

  return [
    ["admins' pages", adminAppearance],
    ["admins, no scripts", () => adminTasks(false)],
    ["admins, scripts", () => adminTasks(true)],
  ];
}
