// Uploads of the run form begin when files are chosen, with progress and a way to stop. Without JavaScript they are sent
// with the form.
const base = document.querySelector('meta[name="base"]').content;
const form = document.getElementById("run");
const status = document.getElementById("said");
let sending = 0;
let waiting;
let isSent = false;

const element = (name, parts = {}, ...children) => {
  const made = Object.assign(document.createElement(name), parts);
  made.append(...children);
  return made;
};

/** A stored file in the list of its input, as the server writes it. */
function keep(item, input, { sha256, name }) {
  const box = element("input", { type: "checkbox", name: `sent.${input}`, value: JSON.stringify({ upload: sha256, name }), checked: true });
  item.className = "";
  item.replaceChildren(element("label", {}, box, ` ${name}`));
}

function fail(item, name, why) {
  const drop = element("button", { type: "button", className: "btn slim", textContent: "Remove" });
  drop.addEventListener("click", () => item.remove());
  item.replaceChildren(element("span", { className: "wrong", textContent: `${name}: ${why}` }), drop);
}

/** The reason in a problem document. */
function reason(request) {
  try {
    return JSON.parse(request.responseText).detail;
  } catch {
    return "the server did not take it. Try again.";
  }
}

function send(field, file) {
  const input = field.closest("[data-input]").dataset.input;
  const list = field.parentElement.querySelector(".sent");
  if (!field.multiple) list.replaceChildren();
  const bar = element("progress", { max: 1, value: 0, ariaLabel: `Upload of ${file.name}` });
  const stop = element("button", { type: "button", className: "btn slim", textContent: "Stop", ariaLabel: `Stop the upload of ${file.name}` });
  const item = element("li", { className: "sending" }, element("span", { textContent: file.name }), bar, stop);
  list.append(item);
  const request = new XMLHttpRequest();
  const ended = () => {
    sending -= 1;
    if (sending > 0 || !waiting) return;
    const button = waiting;
    waiting = undefined;
    status.textContent = "";
    form.requestSubmit(button);
  };
  request.open("POST", `${base}/api/v1/uploads?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", ({ loaded, total }) => (bar.value = total ? loaded / total : 0));
  request.addEventListener("load", () => {
    if (request.status === 201) keep(item, input, JSON.parse(request.responseText));
    else {
      waiting = undefined;
      fail(item, file.name, reason(request));
    }
    status.textContent = request.status === 201 ? `${file.name} is uploaded` : `${file.name} is not uploaded`;
  });
  request.addEventListener("error", () => {
    waiting = undefined;
    fail(item, file.name, "the connection failed. Try again.");
  });
  request.addEventListener("abort", () => item.remove());
  request.addEventListener("loadend", ended);
  stop.addEventListener("click", () => request.abort());
  sending += 1;
  request.send(file);
}

form.addEventListener("input", ({ target }) => {
  const radio = target.type !== "radio" && target.closest(".source")?.querySelector(":scope > label > input");
  if (radio) radio.checked = true;
});

form.addEventListener("change", ({ target }) => {
  if (target.type !== "file") return;
  for (const file of target.files) send(target, file);
  target.value = "";
});

form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector('button[value="run"]'));
});

form.addEventListener("submit", (event) => {
  if (isSent || sending > 0) event.preventDefault();
  if (sending > 0) {
    waiting = event.submitter;
    status.textContent = "It goes on when the uploads are done.";
    status.classList.remove("unseen");
  } else {
    isSent = true;
  }
});

// Back in the browser's history, the form may be sent again.
addEventListener("pageshow", () => (isSent = false));
