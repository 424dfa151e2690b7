// What the page that checks a manifest gains from JavaScript: it is checked while somebody types.
import { debounced, policy, say } from "./silo.js";

const editor = document.querySelector("#validate textarea");
/** Most bytes that are read into the field; the server takes no longer ones. */
const LONGEST_FILE = 1024 * 1024;
let checking;

/** Puts the report about what is typed now in place of the one shown. */
async function check() {
  const { form } = editor;
  checking?.abort();
  const { signal } = (checking = new AbortController());
  try {
    const headers = { Accept: "text/html", "X-Fragment": "report" };
    const reply = await fetch(form.action, { method: "POST", body: new FormData(form), headers, signal });
    const html = await reply.text();
    if (signal.aborted) return;
    if (!reply.ok) return say("This text cannot be checked now. Use the button to learn why.", true);
    const report = document.getElementById("report");
    const isOpen = report.querySelector("details")?.open;
    report.innerHTML = policy ? policy.createHTML(html) : html;
    const details = report.querySelector("details");
    if (details && isOpen) details.open = true;
    say(report.querySelector("h2")?.textContent ?? "");
  } catch (error) {
    if (error.name !== "AbortError") say("The server cannot be reached. Try again.", true);
  }
}

/** Puts a file into the field. One that is no UTF-8, or is too long, is sent as it is. */
async function take(file) {
  const { form } = editor;
  try {
    if (file.size > LONGEST_FILE) throw new RangeError("too long");
    editor.value = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await file.arrayBuffer());
    form.elements.file.value = "";
    check();
  } catch {
    form.requestSubmit();
  }
}

/** Selects the place of a problem in the field. */
function go({ line, column }) {
  const lines = editor.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  // Columns are in characters, positions in UTF-16 units.
  const at = start + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
  editor.focus();
  editor.setSelectionRange(at, at + 1);
  editor.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(editor).lineHeight);
}

const typed = debounced(check, 150);
editor.addEventListener("input", () => {
  editor.form.elements.file.value = "";
  typed();
});
editor.form.addEventListener("change", ({ target }) => {
  if (target.type === "file") return target.files.length && take(target.files[0]);
  if (target !== editor) check();
});
editor.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
});
editor.addEventListener("drop", (event) => {
  const { files } = event.dataTransfer;
  if (files.length === 0) return;
  event.preventDefault();
  // Also in the form, for a file that is sent as it is.
  editor.form.elements.file.files = files;
  take(files[0]);
});
document.getElementById("report").addEventListener("click", (event) => {
  const place = event.target.closest("[data-line]");
  if (!place) return;
  event.preventDefault();
  go({ line: Number(place.dataset.line), column: Number(place.dataset.column) });
});
