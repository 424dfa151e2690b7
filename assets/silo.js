// What the pages gain from JavaScript. Everything works without it.
const root = document.documentElement;
const base = document.querySelector('meta[name="base"]').content;
const field = document.querySelector("#find input");
const main = document.getElementById("main");
const status = document.getElementById("said");
root.classList.add("js");

// The only place where text becomes markup: parts of our own pages.
export const policy = window.trustedTypes?.createPolicy("silo", { createHTML: (html) => html });

/** Markup of our own server. */
export const markup = (html) => (policy ? policy.createHTML(html) : html);

/** Tells screen readers, and everybody if it is about a wait or a failure. */
export function say(text, isShown = false) {
  status.textContent = text;
  status.classList.toggle("unseen", !isShown);
}

/** Calls `action` once `delay` ms after the last of several calls. */
export function debounced(action, delay) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, delay);
  };
}

export function enhance() {
  main.querySelectorAll(".sift").forEach((sift) => (sift.hidden = false));
  const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const time of main.querySelectorAll("time[datetime]:not([title])")) {
    const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
    const [unit, size] = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]]
      .find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    if (Number.isNaN(seconds)) continue;
    time.title = time.textContent;
    time.textContent = ago.format(Math.round(seconds / size), unit);
  }
  const reload = main.querySelector("[data-reload]");
  if (reload) setTimeout(() => location.reload(), 1000 * reload.dataset.reload);
}

// ---- search as you type -------------------------------------------------------------------------------------------

const isSearch = () => main.querySelector(".search") !== null;
const state = () => new URLSearchParams(location.search);
const address = (pairs) => `${base}/search${pairs.size ? `?${pairs}` : ""}`;
const nameOf = (details) => details.closest("fieldset")?.dataset.facet ?? "filters";
let searching;

/** Puts the results of an address in place of those shown. */
async function load(url) {
  searching?.abort();
  const { signal } = (searching = new AbortController());
  main.ariaBusy = "true";
  const slow = setTimeout(() => say("Searching…", true), 400);
  try {
    const reply = await fetch(url, { signal, cache: "no-store", headers: { Accept: "text/html", "X-Fragment": "main" } });
    const html = await reply.text();
    if (!reply.ok || !html.includes('class="search"')) return location.assign(url);
    show(html);
  } catch (error) {
    if (error.name !== "AbortError") say("The server cannot be reached. Try again.", true);
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) main.ariaBusy = null;
  }
}

function show(html) {
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const open = new Set([...main.querySelectorAll("details[open]")].map(nameOf));
  main.innerHTML = markup(html);
  main.querySelectorAll("details").forEach((details) => (details.open = open.has(nameOf(details))));
  if (focused?.name) {
    const same = (control) => control.name === focused.name && (control.type !== "checkbox" || control.value === focused.value);
    [...main.querySelectorAll("input, select")].find(same)?.focus();
  }
  document.title = `${main.querySelector(".search").dataset.title} – SILO`;
  say(main.querySelector("h1").textContent);
  enhance();
}

/** Shows the results of what is typed now. */
function search(isNewEntry) {
  const pairs = state();
  pairs.delete("cursor");
  const text = field.value.trim();
  text ? pairs.set("q", text) : pairs.delete("q");
  const url = address(pairs);
  history[isNewEntry ? "pushState" : "replaceState"](null, "", url);
  load(url);
}

/** Shows the results for the filters and the order that are chosen now. */
function narrow(control) {
  const pairs = new URLSearchParams([...state()].filter(([name]) => name !== "cursor" && !name.startsWith("facet")));
  for (const [name, value] of new FormData(document.getElementById("narrow"))) {
    if (name.startsWith("facet.")) pairs.append(name, value);
  }
  if (control.name === "sort") pairs.set("sort", control.value);
  history.pushState(null, "", address(pairs));
  load(address(pairs));
}

// ---- suggestions --------------------------------------------------------------------------------------------------

const list = document.createElement("ul");
list.id = "suggestions";
list.role = "listbox";
list.ariaLabel = "Suggestions";
list.hidden = true;
field.after(list);
field.role = "combobox";
field.ariaExpanded = "false";
field.ariaAutoComplete = "list";
field.setAttribute("aria-controls", list.id);
let suggesting;
let chosen = -1;

function close() {
  suggesting?.abort();
  list.hidden = true;
  field.ariaExpanded = "false";
  choose(-1);
}

function choose(index) {
  chosen = index;
  [...list.children].forEach((option, at) => (option.ariaSelected = String(at === index)));
  const option = list.children[index];
  option ? field.setAttribute("aria-activedescendant", option.id) : field.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
}

function option(text, note, target, index) {
  const item = document.createElement("li");
  Object.assign(item, { id: `suggestion-${index}`, role: "option", ariaSelected: "false" });
  Object.assign(item.dataset, target);
  item.append(text, Object.assign(document.createElement("span"), { textContent: note }));
  return item;
}

async function suggest() {
  const text = field.value.trim();
  if (!text || document.activeElement !== field) return close();
  suggesting?.abort();
  const { signal } = (suggesting = new AbortController());
  try {
    const reply = await fetch(`${base}/api/v1/suggest?limit=6&q=${encodeURIComponent(text)}`, { signal });
    if (!reply.ok) return close();
    const { completions, jobs } = await reply.json();
    const found = jobs.map(({ name, title, page }) => [title || name, title ? name : "", { url: base + page }]);
    const words = completions.filter((words) => words !== text).slice(0, 3).map((words) => [words, "search", { words }]);
    const options = [...found, ...words].map((parts, index) => option(...parts, index));
    if (signal.aborted || document.activeElement !== field) return;
    list.replaceChildren(...options);
    list.hidden = options.length === 0;
    field.ariaExpanded = String(!list.hidden);
    choose(-1);
  } catch (error) {
    if (error.name !== "AbortError") close();
  }
}

function follow({ url, words }) {
  if (url) return location.assign(url);
  field.value = words;
  close();
  isSearch() ? search(true) : field.form.requestSubmit();
}

const typed = debounced(() => {
  suggest();
  if (isSearch()) search(false);
}, 80);

field.addEventListener("input", typed);
field.addEventListener("blur", close);
list.addEventListener("mousedown", (event) => {
  event.preventDefault();
  const item = event.target.closest("li");
  if (item) follow(item.dataset);
});
field.addEventListener("keydown", (event) => {
  const last = list.children.length - 1;
  if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    close();
  } else if (["ArrowDown", "ArrowUp"].includes(event.key)) {
    event.preventDefault();
    if (list.hidden) return void suggest();
    const next = chosen + (event.key === "ArrowDown" ? 1 : -1);
    choose(next > last ? -1 : next < -1 ? last : next);
  } else if (event.key === "Enter" && !event.isComposing && !list.hidden && chosen >= 0) {
    event.preventDefault();
    follow(list.children[chosen].dataset);
  }
});
field.form.addEventListener("submit", (event) => {
  close();
  if (!isSearch()) return;
  event.preventDefault();
  search(true);
});
addEventListener("popstate", () => {
  if (!isSearch()) return location.reload();
  field.value = state().get("q") ?? "";
  load(location.href);
});

// ---- every page ---------------------------------------------------------------------------------------------------

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.select();
  }
});

document.addEventListener("change", ({ target }) => {
  if (target.form?.id === "narrow") narrow(target);
  if (target.matches("select[data-submit]")) target.form.requestSubmit();
});

document.addEventListener("input", ({ target }) => {
  if (!target.matches(".sift")) return;
  const words = target.value.trim().toLowerCase();
  for (const label of target.parentElement.querySelectorAll("label")) {
    label.hidden = !label.textContent.toLowerCase().includes(words);
  }
});

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    say("Copied");
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = label), 2000);
});

const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const isDark = (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  document.querySelector('meta[name="color-scheme"]').content = root.dataset.theme;
  document.cookie = `silo-theme=${root.dataset.theme}; path=${base || "/"}; max-age=31536000; samesite=lax`;
});

enhance();
