// Checks a registry without leaving its form, so that a password that was typed stays. Without scripts, the form is sent.
const base = document.querySelector('meta[name="base"]').content;
const form = document.getElementById("registry");
const result = document.getElementById("checked");

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** The form as the API takes it. */
function body() {
  const fields = new FormData(form);
  const text = (name) => (fields.get(name) ?? "").trim();
  const registry = {
    url: text("url"),
    org: text("org"),
    username: text("username"),
    ca: text("ca"),
    clientCertificate: text("client_certificate"),
    include: lines(text("include")),
    exclude: lines(text("exclude")),
    repositories: lines(text("repositories")),
    schedule: text("schedule"),
    verified: fields.has("verified"),
    verifiedNamespaces: lines(text("verified_namespaces")),
  };
  for (const [name, key] of [["password", "password"], ["client_key", "clientKey"]]) {
    const choice = fields.get(`${name}_choice`) ?? "set";
    if (choice !== "keep") registry[key] = choice === "set" ? fields.get(name) ?? "" : "";
  }
  return form.dataset.id ? registry : { ...registry, name: text("name"), kind: text("kind") };
}

function tell(isGood, texts) {
  result.className = `note ${isGood ? "good" : "bad"}`;
  result.textContent = texts.join(" ");
  result.hidden = false;
}

async function checkRegistry() {
  const { id } = form.dataset;
  form.ariaBusy = "true";
  tell(true, ["The registry is asked…"]);
  try {
    const reply = await fetch(`${base}/api/v1/registries${id ? `/${id}` : ""}?dry_run=true`, {
      method: id ? "PATCH" : "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body()),
    });
    const said = await reply.json();
    if (reply.ok) tell(true, ["The registry answers and accepts this. Nothing has been changed yet.", ...said.notes]);
    else tell(false, [said.detail]);
  } catch {
    tell(false, ["The server cannot be reached. Try again."]);
  } finally {
    form.ariaBusy = null;
  }
}

form?.addEventListener("submit", (event) => {
  if (event.submitter?.value !== "check") return;
  event.preventDefault();
  checkRegistry();
});
