// From the first page through a search, a job and the form of a run to a run with the keyboard alone, with and without scripts: parts of look.mjs.
const SCENE = { name: "scene.tif", mimeType: "image/tiff", buffer: Buffer.from("a scene") };
/** Most stops between two controls of a page. */
const MOST_STOPS = 120;

export function keyboardParts({ url, open, check, same }) {
  async function toRun(javaScriptEnabled) {
    const where = javaScriptEnabled ? "keyboard" : "keyboard, no scripts";
    const { page, visit, expect, close } = await open({ javaScriptEnabled });
    const press = (key) => page.keyboard.press(key);
    /** Presses Tab until the control has the focus. */
    const tabTo = async (selector) => {
      for (let stop = 0; stop < MOST_STOPS; stop += 1) {
        await press("Tab");
        const at = await page.evaluate((selector) => {
          const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
          return { isThere: document.activeElement.matches(selector), isBody: document.activeElement === document.body, isVisible: outlineStyle !== "none" && outlineWidth !== "0px", html: document.activeElement.outerHTML.slice(0, 120) };
        }, selector);
        // Behind the last control is the browser itself.
        if (!at.isBody) check(at.isVisible, `${where}: the focus is visible: ${at.html}`);
        if (at.isThere) return;
      }
      throw new Error(`Tab does not reach ${selector} on ${page.url()}`);
    };
    const enter = (where) => Promise.all([page.waitForURL(where), press("Enter")]);

    await visit("/");
    await tabTo("a[href^='/session']");
    await enter((at) => at.pathname === "/session");
    await tabTo("#username");
    await page.keyboard.type("admin");
    await press("Tab");
    await page.keyboard.type(process.env.SILO_TEST_PASSWORD);
    await enter(`${url}/`);

    if (javaScriptEnabled) {
      await press("/");
      await page.keyboard.type("rotate");
      await page.waitForSelector("#suggestions li");
      await press("ArrowDown");
      await enter("**/job/image-rotate");
    } else {
      await tabTo("#find input");
      await page.keyboard.type("rotate");
      await enter("**/search?q=rotate");
      await tabTo(".hit h2 a");
      await enter("**/job/image-rotate");
    }
    await tabTo(".acts a.lead");
    await enter("**/job/image-rotate/**/run");
    await tabTo("input[type=file]");
    // The dialog that chooses a file is the browser's.
    await page.setInputFiles("input[type=file]", SCENE);
    if (javaScriptEnabled) await page.waitForSelector("input[name^='sent.']");
    await tabTo("button[value=run]");
    // The image is in a folder, which no engine can pull from: the form comes back, and says so.
    expect(400);
    await press("Enter");
    await page.waitForSelector("#result");
    expect(200);
    await tabTo("nav a[href='/runs']");
    await enter("**/runs");
    await tabTo("td[data-h=Job] a[href='/run/run-over']");
    await enter("**/run/run-over");
    same(await page.textContent("h1"), "Ship detection", `${where}: the run`);
    await tabTo("a[href='/account']");
    await enter("**/account");
    await tabTo("form[action='/session/end'] button");
    await enter("**/session");
    same(await page.textContent("h1"), "Log in", `${where}: logged out`);
    await close(where);
  }

  return [
    ["keyboard", () => toRun(true)],
    ["keyboard, no scripts", () => toRun(false)],
  ];
}
