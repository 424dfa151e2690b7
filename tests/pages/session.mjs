// Login, account and logout, and forms that other sites send: parts of look.mjs.
import { createServer } from "node:http";

const PHONE = { width: 360, height: 800 };
const PASSWORD = process.env.SILO_TEST_PASSWORD;

/** The parts; they share the rest with all others. */
export function sessionParts({ url, open, check, same, looksRight }) {
  const heading = (page) => page.textContent("h1");
  const fill = async (page, password) => {
    await page.fill("#username", "admin");
    await page.fill("#password", password);
    await page.press("#password", "Enter");
  };

  /** From the first login to the last logout, on a phone. */
  async function session(javaScriptEnabled) {
    const where = javaScriptEnabled ? "scripts" : "no scripts";
    const { page, visit, expect, close } = await open({ javaScriptEnabled, viewport: PHONE });
    const isWithin = async (what) =>
      check((await page.$eval("html", (html) => html.scrollWidth)) <= PHONE.width, `${where}: ${what} is not too wide`);
    const logIn = async (after) => {
      await fill(page, PASSWORD);
      await page.waitForURL(url + after);
    };
    await visit("/search?q=image");
    await page.click("nav >> text=Log in");
    same(page.url(), `${url}/session?next=${encodeURIComponent("/search?q=image")}`, `${where}: the way to the login`);
    expect(401);
    await fill(page, "wrong");
    await page.waitForSelector("#problem");
    same(await page.inputValue("#username"), "admin", `${where}: the name stays`);
    await isWithin("a wrong login");
    await logIn("/search?q=image");
    check(await page.isVisible("nav >> text=admin"), `${where}: the navigation has the name`);
    await isWithin("a page of a user");

    await page.click("nav .who");
    same(await heading(page), "admin", `${where}: the account`);
    await isWithin("the account");
    await page.fill("#old", PASSWORD);
    await page.fill("#new", `${PASSWORD} 2`);
    await page.fill("#again", `${PASSWORD} 3`);
    expect(400);
    await page.click("#change button");
    await page.waitForSelector("#problem");
    check((await page.textContent("#problem")).includes("differ"), `${where}: two new passwords differ`);
    await isWithin("a password that is not changed");

    const cookies = (await page.context().cookies()).filter(({ httpOnly }) => httpOnly);
    same(cookies.map(({ name, sameSite }) => [name, sameSite]), [["silo", "Lax"]], `${where}: one cookie, which scripts do not see`);
    await page.click("text=Log out >> nth=0");
    await page.waitForURL(`${url}/session`);
    same(await heading(page), "Log in", `${where}: logged out`);
    await visit("/account");
    same(page.url(), `${url}/session?next=%2Faccount`, `${where}: the account needs a login`);

    await logIn("/account");
    await page.click(".stack tr:has(.state) button");
    await page.waitForURL(`${url}/session`);
    await visit("/account");
    await logIn("/account");
    await page.click("text=Log out everywhere");
    await page.waitForURL(`${url}/session`);
    same((await page.context().cookies()).filter(({ httpOnly }) => httpOnly), [], `${where}: no cookie is left`);
    await close(`session, ${where}`);
  }

  async function sessionAppearance() {
    const { page, visit, expect, close } = await open({ bypassCSP: true });
    await visit("/session?next=/account");
    expect(401);
    await fill(page, "wrong");
    await page.waitForSelector("#problem");
    await looksRight(page, "a wrong login");
    await fill(page, PASSWORD);
    await page.waitForURL(`${url}/account`);
    await looksRight(page, "account");
    for (const width of [1280, 1200, 960, 700, 645, 320]) {
      await page.setViewportSize({ width, height: 900 });
      check((await page.$eval("html", (html) => html.scrollWidth)) <= width, `the navigation of an admin, ${width} wide, is not too wide`);
    }
    await visit("/session");
    await looksRight(page, "logout");
    await close("appearance of sessions");
  }

  /** A page of another port sends the cookie, too; one of another host does not. Neither has an effect. */
  async function otherSites() {
    const form = (path) => `<form method="post" action="${url}${path}"><input name="username" value="admin"><input name="password" value="x"><button>${path}</button></form>`;
    const page = `<!doctype html><title>Other</title><link rel="icon" href="data:,">${["/session", "/session/end", "/account/sessions"].map(form).join("")}`;
    const other = createServer((asked, answer) => answer.writeHead(200, { "content-type": "text/html" }).end(page));
    await new Promise((ready) => other.listen(0, "127.0.0.1", ready));
    for (const host of ["127.0.0.1", "localhost"]) {
      const foreign = `http://${host}:${other.address().port}`;
      const tab = await open({}, foreign);
      await tab.page.goto(`${url}/session`);
      await fill(tab.page, PASSWORD);
      await tab.page.waitForURL(`${url}/`);
      for (const path of ["/session", "/session/end", "/account/sessions"]) {
        await tab.visit("/");
        tab.expect(403);
        const [reply] = await Promise.all([tab.page.waitForResponse(url + path), tab.page.click(`text="${path}"`)]);
        await tab.page.waitForLoadState();
        same(reply.status(), 403, `a form from ${host}: ${path}`);
        const sent = await reply.request().allHeaders();
        same("cookie" in sent, host === "127.0.0.1", `a form from ${host}: the cookie is sent`);
        check((await tab.page.textContent("main")).includes("page of another site"), `a form from ${host}: ${path} says why`);
      }
      tab.expect(200);
      await tab.page.goto(`${url}/account`);
      same(await heading(tab.page), "admin", `a form from ${host}: the session goes on`);
      await tab.close(`other sites, ${host}`);
    }
    other.closeAllConnections();
    other.close();
  }

  return [
    ["session, no scripts", () => session(false)],
    ["session, scripts", () => session(true)],
    ["appearance of sessions", sessionAppearance],
    ["other sites", otherSites],
  ];
}
