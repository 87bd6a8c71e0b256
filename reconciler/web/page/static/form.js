// Makes the form of a collector live: what will be written, what is known of the login's provider,
// and the check. Without this the same buttons load the page anew.
let form = null;
const $ = (name) => form.elements.namedItem(name);
const SERVER = "spec.source.host", TYPE = "spec.source.protocol", PORT = "spec.source.port";
const TLS = "spec.source.tls", LOGIN = "spec.source.username";
const PORTS = { imap: ["993", "143"], pop3: ["995", "110"] };

async function sent(path, signal) {
  const answer = await posted(path, signal);
  if (answer.status !== 403) return answer;
  // perhaps somebody logged in again in another tab: the page then has a new token
  const page = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  const anew = new DOMParser().parseFromString(await page.text(), "text/html");
  const token = anew.querySelector("meta[name=csrf]")?.content;
  if (!token || token === $("csrf").value) return answer;
  $("csrf").value = token;
  return posted(path, signal);
}

function posted(path, signal) {
  return fetch(path, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { Accept: "text/html", "X-Page-Script": "1" },
    redirect: "manual",
    signal,
  });
}

// Says in the place of an answer why there is none.
function excuse(words) {
  const place = document.getElementById("check-result");
  const told = document.createElement("p");
  told.className = "notice bad check";
  told.setAttribute("role", "alert");
  told.textContent = words;
  place.replaceChildren(told);
  told.scrollIntoView({ block: "nearest" });
}

// Returns the page that the server answers with, or null where it sends the reader on, or where the
// form cannot go on: then it says why, and what was typed stays.
async function answered(path) {
  let answer;
  try {
    answer = await sent(path);
  } catch {
    excuse(form.dataset.away);
    return null;
  }
  const there = answer.headers.get("X-Location");
  const isPage = answer.headers.get("Content-Type")?.startsWith("text/html");
  if (there) leave(there);
  else if (answer.type === "opaqueredirect" || answer.status === 401) excuse(form.dataset.over);
  else if (!isPage) excuse((await answer.json()).detail);
  else return fitting(new DOMParser().parseFromString(await answer.text(), "text/html"));
  return null;
}

let leaving = false;

function leave(path) {
  leaving = true;
  location.assign(path);
}

globalThis.addEventListener("pageshow", () => {
  leaving = false;
  for (const button of form?.querySelectorAll("button") ?? []) button.disabled = false;
});

function fitting(page) {
  const refusal = page.querySelector("[data-error] p");
  if (!refusal) return page;
  excuse(refusal.textContent);
  return null;
}

// -- what will be written

let writing, timer, knowing;

async function preview() {
  writing?.abort();
  writing = new AbortController();
  const place = document.getElementById("preview");
  if (!place) return; // another page took the form's place meanwhile
  try {
    const answer = await sent("/form/preview", writing.signal);
    if (answer.ok) place.innerHTML = await answer.text();
  } catch {
    // another one is on its way, or nobody answers: Save and Check say so
  }
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(preview, 250);
}

// -- the provider of the login: fills in what nobody typed

const ours = {};

function fill(name, value) {
  const field = $(name);
  if (!field || (field.value && field.value !== ours[name])) return;
  field.value = ours[name] = value;
}

let asked = "";

function soonKnown() {
  clearTimeout(knowing);
  knowing = setTimeout(provider, 300);
}

async function provider() {
  const login = $(LOGIN).value.trim();
  if (login === asked) return;
  asked = login;
  const place = document.getElementById("provider-advice");
  if (!login.includes("@")) return;
  const untouched = !$(SERVER).value || $(SERVER).value === ours[SERVER];
  const type = form.dataset.typed ? $(TYPE).value : "";
  const answer = await fetch(`/form/provider?${new URLSearchParams({ login, protocol: type })}`);
  if (!answer.ok || login !== $(LOGIN).value.trim()) return;
  const known = await answer.json();
  if (known.advice || untouched) place.replaceChildren(...(known.advice ?? []).map(paragraph));
  if (!untouched) return;
  if (!known.host) {
    if (ours[SERVER]) fill(SERVER, "");
    soon();
    return;
  }
  fill(SERVER, known.host);
  fill(PORT, known.port);
  $(TYPE).value = known.protocol;
  $("ssl").checked = known.tls !== "none";
  if ($(TLS)) $(TLS).value = known.tls === "starttls" ? "starttls" : "";
  ports();
  soon();
}

function paragraph(text) {
  const place = document.createElement("p");
  for (const part of text.split(/(https:\/\/[^\s()]*[^\s().,;:])/)) {
    if (!part.startsWith("https://")) {
      place.append(part);
      continue;
    }
    const link = Object.assign(document.createElement("a"), { href: part, textContent: part });
    link.rel = "noopener";
    place.append(link);
  }
  return place;
}

// -- fields that belong together

function ports() {
  const port = $(PORT);
  if (!port) return;
  const implicit = $("ssl").checked && $(TLS)?.value !== "starttls";
  port.placeholder = PORTS[$(TYPE).value][implicit ? 0 : 1];
}

function together(event) {
  const { name, value } = event.target;
  if (name === TYPE) form.dataset.typed = "1";
  if (name === "ssl" && $(TLS)) {
    if (!event.target.checked) $(TLS).value = "none";
    else if ($(TLS).value === "none") $(TLS).value = "";
  }
  if (name === TLS) $("ssl").checked = value !== "none";
  if (name === "recipient") choose(value);
  if (name === "spec.recipient.forwardTo" && value) choose("forward");
  if (name === "spec.recipient.detect.default" && value) choose("detect");
  if (name === TYPE || name === "ssl" || name === TLS) ports();
  if (name === "spec.collect.mode") chosenMode(event.target);
}

// A phone cuts the text of the choice; it stands below as a whole.
function chosenMode(select) {
  document.getElementById("mode-chosen").textContent = select.selectedOptions[0].text;
}

function choose(whom) {
  document.getElementById(`f-recipient-${whom}`).checked = true;
  const domains = document.getElementById("g-spec.recipient.detect");
  if (domains && whom === "detect") domains.open = true;
}

// -- check and save, with the typed password staying where it is

async function check(button) {
  const place = document.getElementById("check-result");
  place.setAttribute("aria-busy", "true");
  await busy(button, async () => {
    const page = await answered("/form/check?part=1");
    if (!page) return;
    place.replaceChildren(...page.body.childNodes);
    place.focus({ preventScroll: true });
    place.scrollIntoView({ block: "nearest" });
  });
  place.removeAttribute("aria-busy");
}

async function save(button) {
  await busy(button, async () => {
    const page = await answered(form.action);
    if (page) show(page);
  });
}

async function busy(button, work) {
  button.disabled = true;
  button.classList.add("busy");
  try {
    await work();
  } finally {
    button.disabled = leaving; // a second click would send the form again
    button.classList.remove("busy");
  }
}

// Shows a page that the server answered with in the place of this one.
function show(page) {
  const password = $("password").value;
  const open = form.querySelector("details.more").open;
  document.title = page.title;
  document.getElementById("main").replaceWith(page.getElementById("main"));
  begin();
  if (form) {
    $("password").value = password;
    if (open) form.querySelector("details.more").open = true;
    for (const told of document.querySelectorAll(".retype")) told.remove();
  }
  const first = document.getElementById("problems") ?? document.getElementById("main");
  first.focus();
  first.scrollIntoView({ block: "start" });
}

function copying() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy);
      text.select();
      await navigator.clipboard?.writeText(text.value);
    });
  }
}

// A link from the list of problems leads into a part that may be closed.
function reveal(event) {
  const link = event.target.closest("a[href^='#f-']");
  const field = link && document.getElementById(link.hash.slice(1));
  if (!field) return;
  event.preventDefault();
  for (let part = field.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  field.focus();
}

function begin() {
  form = document.querySelector("form[data-collector]");
  copying();
  if (!form) return;
  form.addEventListener("input", (event) => {
    together(event);
    if (event.target.name !== "password" || event.target.value.length < 2) soon();
    if (event.target.name === LOGIN) soonKnown();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.hasAttribute("data-check")) check(event.submitter);
    else save(event.submitter ?? form.querySelector("button.main"));
  });
  ports();
}

document.addEventListener("click", reveal);
begin();
