// A log whose stream breaks off: a part of look.mjs. The page goes on where it was, without a lost or doubled line.
import { appendFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { logIn } from "./login.mjs";
import { records, store } from "./runs.mjs";

const FIRST = 50;

/** A proxy between the browser and the service, whose streams can be cut. */
async function cuttable(url) {
  const streams = new Set();
  let opened = 0;
  const proxy = createServer((asked, answer) => {
    const passed = request(url + asked.url, { method: asked.method, headers: asked.headers }, (reply) => {
      answer.writeHead(reply.statusCode, reply.headers);
      answer.flushHeaders();
      reply.pipe(answer);
      if (reply.headers["content-type"]?.startsWith("text/event-stream") && asked.url.includes("/follow")) {
        opened += 1;
        streams.add(answer);
      }
      answer.on("close", () => {
        streams.delete(answer);
        passed.destroy();
      });
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
  return {
    base: `http://127.0.0.1:${proxy.address().port}`,
    opened: () => opened,
    cut: () => streams.forEach((stream) => stream.destroy()),
    end: () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}

export async function reconnects({ url, open, check, same, data }) {
  const texts = (from, to) => [...Array(to - from).keys()].map((number) => `line ${from + number}`);
  const folder = store(data, "run-cut", "running", { "combined.ndjson": records(texts(0, FIRST)), "_stdout.txt": "", "_stderr.txt": "" });
  const log = join(folder, "attempt-1", "combined.ndjson");
  const proxy = await cuttable(url);
  const tab = await open({}, proxy.base);
  const { page } = tab;
  await logIn(tab, "/run/run-cut");
  let written = FIRST;
  const more = (count) => {
    appendFileSync(log, records(texts(written, written + count)));
    written += count;
  };
  const shown = () => page.locator(`#L${written}`).waitFor({ state: "attached" });
  more(10);
  await shown();
  for (let cuts = 1; cuts <= 3; cuts += 1) {
    const before = proxy.opened();
    proxy.cut();
    more(25);
    await shown();
    check(proxy.opened() > before, `cut ${cuts}: the page opens another stream`);
  }
  const found = await page.$$eval("#log-view ol li", (lines) => lines.map((line) => [line.id, line.textContent.trim()]));
  same(found.map(([id]) => id), texts(0, written).map((_, number) => `L${number + 1}`), "each line is there once, in order");
  check(found.every(([, text], number) => text.endsWith(`line ${number}`)), "each line has its text");
  await page.click(".acts >> text=Stop");
  await page.waitForSelector(".job-head .state >> text=stopped");
  await page.context().close();
  proxy.end();
}
