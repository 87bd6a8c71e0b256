// Makes the page live. Everything works without it: each part looks for the elements it serves.
const language = document.documentElement.lang;
document.documentElement.classList.add("live");

// -- times: the server writes UTC and ages of then; readers see their own zone and ages of now

const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const today = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
const earlier = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const ages = new Intl.RelativeTimeFormat(language, { numeric: "always" });
const moments = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const UNITS = [["year", 31536000], ["month", 2629746], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function clock(when) {
  const isToday = when.toDateString() === new Date().toDateString();
  return (isToday ? today : earlier).format(when);
}

function age(when) {
  const seconds = (when - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= 1.1 * each) ?? ["second", 1];
  const count = Math.round(seconds / size);
  return count ? ages.format(count, unit) : moments.format(0, "second");
}

export function localTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    if (Number.isNaN(when.valueOf())) continue;
    element.title = exact.format(when);
    if (element.classList.contains("clock")) element.textContent = clock(when);
  }
  grow(root);
}

function grow(root = document) {
  for (const element of root.querySelectorAll("time.age[datetime]")) {
    const when = new Date(element.dateTime);
    const text = age(element.classList.contains("due") ? Math.max(when, Date.now()) : when);
    if (element.textContent !== text) element.textContent = text;
  }
}

localTimes();
setInterval(() => document.visibilityState === "visible" && grow(), 5000);

// -- a notice is for once: loading the page again does not show it again

const address = new URL(location.href);
if (address.searchParams.has("done")) {
  for (const name of ["done", "count", "refused"]) address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}

// -- a form is sent once: a second click neither sends it again nor breaks off what is on its way

const ENABLE_AGAIN = 15000;
let pressed = [];

document.addEventListener("submit", (event) => {
  const { target: sent, submitter } = event;
  if (event.defaultPrevented || !submitter) return;
  // this event comes when what is sent is complete, with the button's own name and value
  sent.addEventListener("formdata", () => {
    submitter.disabled = true;
    pressed.push(submitter);
    setTimeout(enableAgain, ENABLE_AGAIN); // somebody stopped it, or no page came
  }, { once: true });
});

function enableAgain() {
  for (const button of pressed) button.disabled = false;
  pressed = [];
}

// A button that is disabled loses the focus; it is given back to somebody who pressed it by a key.
export function enable(button) {
  button.disabled = false;
  if (document.activeElement === document.body) button.focus({ preventScroll: true });
}

// A part of the page is drawn anew: the focus stays on what is the same there, or in the same place.
export function keepFocus(root, draw) {
  const all = () => [...root.querySelectorAll("a[href], button, input, select, summary, [tabindex]")];
  const focused = document.activeElement;
  const place = all().indexOf(focused);
  draw();
  if (place < 0) return;
  const isSame = (one) => one?.outerHTML === focused.outerHTML;
  const found = isSame(all()[place]) ? all()[place] : all().find(isSame) ?? all()[place];
  found?.focus({ preventScroll: true });
}

// Parts of the page are drawn anew: what was pressed there stays pressed.
export function stillPressed(root) {
  const isSame = (one, other) => ["formAction", "name", "value", "textContent"].every((key) => one[key] === other[key]);
  const gone = pressed.filter((button) => !button.isConnected);
  if (!gone.length) return;
  for (const button of root.querySelectorAll("button")) {
    if (!gone.some((one) => isSame(one, button))) continue;
    button.disabled = true;
    pressed.push(button);
  }
}

globalThis.addEventListener("pageshow", enableAgain); // from the history

// -- what our server rendered, as elements

export function logIn() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

export async function fragment(path, name, signal) {
  const answer = await fetch(path, { headers: { "X-Fragment": name }, signal, cache: "no-store" });
  if (answer.status === 401) logIn();
  if (!answer.ok) throw Object.assign(new Error(String(answer.status)), { status: answer.status });
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  localTimes(made.content);
  return made.content;
}
