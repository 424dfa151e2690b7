// What the pages of a run and of its logs gain from JavaScript: they show what happens while it happens.
import { enhance, markup, say } from "./silo.js";

/** Most lines in a page. */
const MOST_LINES = 10000;
/** How often a page asks if no stream is free, in ms. */
const PACE = 5000;

const parse = (html) => {
  const template = document.createElement("template");
  template.innerHTML = markup(html);
  return template.content;
};
const ask = async (url) => {
  const reply = await fetch(url, { cache: "no-store", headers: { Accept: "text/html", "X-Fragment": "main" } });
  if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
  return parse(await reply.text());
};

// ---- the run ------------------------------------------------------------------------------------------------------

const run = document.querySelector(".run[data-events]");
const shown = new Map();

/** Puts what has changed into the page; the log stays. */
async function refresh() {
  const fresh = await ask(location.pathname);
  const now = fresh.querySelector(".run");
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    if (!old || shown.get(part.id) === part.outerHTML || old.contains(document.activeElement)) continue;
    shown.set(part.id, part.outerHTML);
    old.replaceWith(part);
  }
  enhance();
  const title = `${now.dataset.title} – SILO`;
  if (document.title !== title) {
    document.title = title;
    say(now.dataset.title);
  }
  return now.hasAttribute("data-events");
}

if (run) {
  const events = new EventSource(run.dataset.events);
  let last = Promise.resolve();
  const poll = async () => {
    if (await refresh().catch(() => true)) setTimeout(poll, PACE);
  };
  events.addEventListener("run", ({ data }) => {
    const { finished } = JSON.parse(data);
    if (finished) events.close();
    // One after the other, so that the last one counts.
    last = last.then(refresh).catch(() => {});
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) poll();
  });
}

// ---- the log ------------------------------------------------------------------------------------------------------

const log = document.getElementById("log-view");
const list = log?.querySelector("ol");
let isFollowing = true;
let isPaused = false;

const isAtEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 24;
const toEnd = () => (list.scrollTop = list.scrollHeight);

/** Puts lines at the end; a line that is there already is the unfinished one, of which there is more now. */
function append(lines) {
  const isWaiting = isFollowing && isAtEnd();
  const added = document.createDocumentFragment();
  for (const line of lines) {
    const old = document.getElementById(line.id);
    old && list.contains(old) ? old.replaceWith(line) : added.append(line);
  }
  list.append(added);
  log.querySelector("[data-nothing]")?.remove();
  while (isWaiting && list.childElementCount > MOST_LINES) list.firstElementChild.remove();
  if (isWaiting) toEnd();
}

function follow(url) {
  const state = log.querySelector("[data-state]");
  const text = document.createElement("span");
  const pause = Object.assign(document.createElement("button"), { type: "button", textContent: "Pause" });
  state.replaceChildren(text, pause);
  let waiting = [];
  let isPlanned = false;
  const tell = () => {
    text.textContent = isPaused ? `Paused, ${waiting.length} lines wait` : isFollowing ? "Following" : "Not following: the keys f or g lead to the end";
  };
  const flush = () => {
    isPlanned = false;
    if (!isPaused && waiting.length) append(waiting.splice(0));
    tell();
  };
  const plan = () => {
    if (isPlanned) return;
    isPlanned = true;
    // A page that is not seen has no frames.
    document.hidden ? setTimeout(flush, 100) : requestAnimationFrame(flush);
  };
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    flush();
  });
  list.addEventListener("scroll", () => {
    isFollowing = isAtEnd();
    tell();
  });
  const events = new EventSource(url);
  events.addEventListener("lines", ({ data }) => {
    waiting.push(...parse(JSON.parse(data)).children);
    if (isPaused && waiting.length > MOST_LINES) waiting.splice(0, waiting.length - MOST_LINES);
    plan();
  });
  events.addEventListener("end", () => {
    events.close();
    flush();
    pause.remove();
    text.textContent = "The run is over";
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) text.textContent = "No stream is free: load the page again for more lines";
  });
  tell();
}

/** Puts the lines before those shown into the page. */
async function earlier(link) {
  const fresh = await ask(link.href);
  const first = list.firstElementChild;
  const top = first.offsetTop - list.scrollTop;
  const lines = [...fresh.querySelectorAll("#log-view ol > li")].filter((line) => !document.getElementById(line.id));
  first.before(...lines);
  list.scrollTop = first.offsetTop - top;
  // The far end makes room, and is not followed any more.
  while (list.childElementCount > MOST_LINES) list.lastElementChild.remove();
  const next = fresh.querySelector("[data-earlier]");
  next ? link.replaceWith(next) : link.closest("p").remove();
}

if (list) {
  if (list.scrollHeight > list.clientHeight && !location.hash) toEnd();
  if (log.dataset.follow) follow(log.dataset.follow);
  log.addEventListener("click", (event) => {
    const link = event.target.closest("[data-earlier]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      earlier(link).catch(() => location.assign(link.href));
    }
    // The number of a line is its address.
    if (event.target.matches("li[id]") && event.offsetX < Number.parseFloat(getComputedStyle(event.target).paddingInlineStart)) {
      location.hash = event.target.id;
    }
  });
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !["f", "g"].includes(event.key)) return;
    event.preventDefault();
    isFollowing = true;
    toEnd();
    list.focus();
  });
}
