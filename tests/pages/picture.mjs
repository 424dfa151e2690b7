// Takes the picture for README.md: picture.mjs URL FILE
import { chromium } from "playwright-core";

const [url, file] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 840 }, colorScheme: "light" });
await page.goto(`${url}/search?q=image`);
await page.screenshot({ path: file });
await browser.close();
