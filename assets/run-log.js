// What the pages of a run and of its logs gain from JavaScript: they show what happens while it happens.
import { PACE, ask, keepOpen, parse, refresh } from "./live.js";
import { say } from "./silo.js";

/** Most lines in a page. */
const MOST_LINES = 10000;

/** What this browser keeps; `null` if there is nothing, or if it keeps nothing. */
function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Then it counts for this page only.
  }
}

// ---- the run ------------------------------------------------------------------------------------------------------

const run = document.querySelector(".run[data-events]");

/** Puts what has changed into the page; the log stays. Returns whether the run goes on. */
async function update() {
  const now = (await refresh()).querySelector(".run");
  const title = `${now.dataset.title} – SILO`;
  if (document.title !== title) {
    document.title = title;
    say(now.dataset.title);
  }
  const goesOn = now.hasAttribute("data-events");
  if (!goesOn) tellEnd(now.dataset.title);
  return goesOn;
}

/** The plots grow between the events of the run. */
async function grow() {
  const old = document.getElementById("run-plots");
  if (!old?.dataset.plots) return;
  if (!document.hidden) {
    await ask(old.dataset.plots).then((fresh) => {
      keepOpen(old, fresh);
      old.replaceChildren(fresh);
    }, () => {});
  }
  setTimeout(grow, PACE);
}

// ---- its end ------------------------------------------------------------------------------------------------------

/** Whether the user wants to be told; kept for the pages of other runs. */
const TELL = "silo-tell-end";
const isTold = () => kept(TELL) === true && Notification.permission === "granted";
let teller;

/** Adds the switch, unless the browser shows no notifications. */
function offerToTell() {
  if (!("Notification" in window) || Notification.permission === "denied") return;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "btn slim", textContent: "Notify me when it ends" });
  const show = () => (button.ariaPressed = String(isTold()));
  button.addEventListener("click", async () => {
    const isWanted = !isTold() && (await Notification.requestPermission()) === "granted";
    keep(TELL, isWanted);
    show();
  });
  show();
  teller = document.createElement("p");
  teller.className = "tell";
  teller.append(button);
  document.getElementById("run-state").after(teller);
}

/** Tells that the run is over, if the user wanted it and looks elsewhere. */
function tellEnd(title) {
  if (teller && document.hidden && isTold()) new Notification(title, { tag: location.pathname });
  teller?.remove();
  teller = undefined;
}

if (run) {
  const events = new EventSource(run.dataset.events);
  let last = Promise.resolve();
  const poll = async () => {
    if (await update().catch(() => true)) setTimeout(poll, PACE);
  };
  events.addEventListener("run", ({ data }) => {
    const { finished } = JSON.parse(data);
    if (finished) events.close();
    // One after the other, so that the last one counts.
    last = last.then(update).catch(() => {});
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) poll();
  });
  setTimeout(grow, PACE);
  offerToTell();
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

/** Switches for times and for long lines, with the classes that turn them off. */
const LOOKS = [["Times", "no-times"], ["Wrap", "no-wrap"]];

function addSwitches() {
  const off = kept("silo-log") ?? {};
  const buttons = LOOKS.map(([textContent, name]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent });
    const show = () => {
      button.ariaPressed = String(!off[name]);
      log.classList.toggle(name, off[name] === true);
    };
    button.addEventListener("click", () => {
      const wasAtEnd = isAtEnd();
      off[name] = !off[name];
      show();
      keep("silo-log", off);
      if (wasAtEnd) toEnd();
    });
    show();
    return button;
  });
  log.querySelector(".bar .gap").prepend(...buttons);
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
  addSwitches();
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
