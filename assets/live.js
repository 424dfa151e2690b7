// Parts of a page that change while it is open: they have an id and data-live.
import { enhance, markup } from "./silo.js";

/** How often a page asks, in ms. */
export const PACE = 5000;

const shown = new Map();

export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = markup(html);
  return template.content;
}

/** The content of a page of ours, or a part of it. */
export async function ask(url) {
  const reply = await fetch(url, { cache: "no-store", headers: { Accept: "text/html", "X-Fragment": "main" } });
  if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
  return parse(await reply.text());
}

/** Opens what was opened before. */
export function keepOpen(old, fresh) {
  const name = (details) => details.querySelector("summary").textContent;
  const states = new Map([...old.querySelectorAll("details")].map((details) => [name(details), details.open]));
  for (const details of fresh.querySelectorAll("details")) details.open = states.get(name(details)) ?? details.open;
}

/** Puts what has changed into the page; returns the fresh content. */
export async function refresh() {
  const fresh = await ask(location.pathname + location.search);
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    const html = part.outerHTML;
    if (!old || shown.get(part.id) === html || old.contains(document.activeElement)) continue;
    shown.set(part.id, html);
    keepOpen(old, part);
    old.replaceWith(part);
  }
  enhance();
  return fresh;
}
