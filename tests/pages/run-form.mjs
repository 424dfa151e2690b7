// The form of a run: with and without scripts, at each width, in both schemes.
const PATH = "/job/ship-detection/2.3.0/1.0.0/run";
const SCENE = { name: "scene.tif", mimeType: "image/tiff", buffer: Buffer.from("a scene") };
const SENT = 'input[name="sent.IMAGE"]';

export async function runForm({ open, check, same, looksRight }) {
  const logIn = async ({ page, visit }) => {
    await visit(`/session?next=${encodeURIComponent(PATH)}`);
    await page.fill("#username", "admin");
    await page.fill("#password", process.env.SILO_TEST_PASSWORD);
    await Promise.all([page.waitForURL(`**${PATH}`), page.click("#login button")]);
  };
  /** Presses a button of the form, and waits for the page that comes. */
  const press = async (tab, words, status) => {
    tab.expect(status);
    const [reply] = await Promise.all([tab.page.waitForResponse((reply) => reply.request().method() === "POST" && reply.url().includes("/run")), tab.page.click(`#run button >> text=${words}`)]);
    await tab.page.waitForLoadState();
    same(reply.status(), status, `${words}: the status`);
  };

  const plain = await open({ javaScriptEnabled: false });
  await logIn(plain);
  check(await plain.page.isVisible('input[name="files.IMAGE"]'), "no scripts: the field of a file");
  check(await plain.page.isVisible('input[name="url.IMAGE"]'), "no scripts: all sources are there");
  await plain.page.setInputFiles('input[name="files.IMAGE"]', SCENE);
  await plain.page.fill('input[name="setting.AIS_TOKEN"]', "hunter2");
  await press(plain, "Check", 400);
  check(await plain.page.isChecked(SENT), "no scripts: the file is sent once");
  same(await plain.page.inputValue('input[name="setting.AIS_TOKEN"]'), "", "no scripts: no secret comes back");
  await plain.close("run form without scripts");

  const tab = await open();
  await logIn(tab);
  check(await tab.page.isHidden('input[name="url.IMAGE"]'), "only the chosen source is shown");
  await tab.page.check('input[name="source.IMAGE"][value="url"]');
  check(await tab.page.isVisible('input[name="url.IMAGE"]'), "another source is shown");
  await tab.page.check('input[name="source.IMAGE"][value="upload"]');
  await tab.page.setInputFiles('input[name="files.IMAGE"]', SCENE);
  await tab.page.waitForSelector(SENT);
  same(JSON.parse(await tab.page.inputValue(SENT)).name, SCENE.name, "a file is uploaded at once");
  tab.expect(400);
  await tab.page.setInputFiles('input[name="files.IMAGE"]', { ...SCENE, name: "x".repeat(300) });
  await tab.page.waitForSelector(".sending .wrong");
  check((await tab.page.textContent(".sending .wrong")).includes("A file needs a name"), "why a file is not uploaded");
  await tab.page.click(".sending button");
  await tab.page.setInputFiles('input[name="files.IMAGE"]', SCENE);
  // The form waits for the upload.
  await press(tab, "Check", 400);
  check(await tab.page.isChecked(SENT), "the uploaded file stays");
  same(await tab.page.evaluate(() => document.activeElement.tagName), "BODY", "no field has the focus");
  await tab.close("run form with scripts");

  const looked = await open({ bypassCSP: true });
  await logIn(looked);
  await looksRight(looked.page, "run form");
  await press(looked, "Check", 400);
  await looksRight(looked.page, "run form with problems");
  await looked.close("appearance of the run form");
}
