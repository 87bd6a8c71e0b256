// The list of collectors: search as one types, changes as they happen, collecting with progress.
import { fragment, localTimes, logIn, stillPressed } from "./page.js";
import { offline, online, onChanges } from "./live.js";

const ROWS_EVERY = 1000;
const LIST_EVERY = 5000;
const STREAMS = 3;
const FOCUSABLE = "a, button, input";

const list = document.getElementById("list");
const attention = document.getElementById("attention");
const filter = document.getElementById("filter");
const search = document.getElementById("search");
const said = document.getElementById("said");

const rows = () => [...list.querySelectorAll("tr[data-name]")];
const boxes = () => [...list.querySelectorAll("input[name=names]")];

// -- replacing parts without losing focus, selection and progress

// Where the focus is: an element with an id, or one of a row by its place in it.
function focusPlace() {
  const element = document.activeElement;
  const row = element?.closest?.("tr[data-name]");
  if (row) return { id: row.id, place: [...row.querySelectorAll(FOCUSABLE)].indexOf(element) };
  return list.contains(element) && element.id ? { id: element.id, place: -1 } : null;
}

function focusAgain({ id, place }) {
  const found = document.getElementById(id);
  (place < 0 ? found : found?.querySelectorAll(FOCUSABLE)[place])?.focus({ preventScroll: true });
}

function kept(change) {
  const focused = focusPlace();
  const checked = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
  const busy = new Map(rows().filter((row) => row.dataset.busy).map((row) => [row.id, row.querySelector(".progress")]));
  change();
  for (const box of boxes()) box.checked = checked.has(box.value);
  for (const [id, progress] of busy) {
    const row = document.getElementById(id);
    if (!row) continue;
    row.dataset.busy = "yes";
    row.querySelector(".progress").replaceWith(progress);
  }
  if (focused && !list.contains(document.activeElement)) focusAgain(focused);
  stillPressed(list);
  count();
}

function put(row) {
  const old = document.getElementById(row.id);
  if (old) old.replaceWith(row);
}

function replaceList(made) {
  // two queries may have the same rows: then what the actions lead back to differs
  const shown = (part) => [part.querySelector("[name=back]"), ...part.querySelectorAll("tr[data-name]")].map((one) => one?.id || one?.value).join();
  const fresh = [...made.querySelectorAll("tr[data-name]")];
  const same = fresh.length && shown(made) === shown(list);
  kept(() => {
    if (!same) {
      list.replaceChildren(made);
      return;
    }
    for (const part of [".filters", "thead", ".pages", "#total"]) {
      const [old, now] = [list.querySelector(part), made.querySelector(part)];
      if (old && now && old.innerHTML !== now.innerHTML) old.replaceWith(now);
    }
    fresh.forEach(put);
  });
}

// -- the address says what is shown

let asking = null;

// What is typed may not be a condition on labels, or not yet: the list stays as it was.
function sayWrong(isWrong) {
  if (isWrong) filter.elements.label.setAttribute("aria-invalid", "true");
  else filter.elements.label.removeAttribute("aria-invalid");
  document.getElementById("label-wrong").hidden = !isWrong;
}

// Whether the list is now what was asked for: somebody may have asked for another one meanwhile.
async function show(path, { push = true } = {}) {
  asking?.abort();
  asking = new AbortController();
  try {
    replaceList(await fragment(path, "list", asking.signal));
  } catch (error) {
    if (error.status === 400) sayWrong(true);
    else if (error.name !== "AbortError") offline();
    return false;
  }
  sayWrong(false);
  online();
  if (push) history.pushState({ list: true }, "", path);
  return true;
}

function typed() {
  const address = new URL(location.href);
  for (const [name, value] of new FormData(filter)) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  address.searchParams.delete("after");
  return address.pathname + address.search;
}

// The other language is asked for what is shown now.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.language");
  if (!link) return;
  const address = new URL(link.href);
  address.searchParams.set("next", location.pathname + location.search);
  link.href = address.href;
});

// Each key is answered at once; keys that come before the answer share the next one.
let isTyping = false;
let isAnswering = false;
let isBehind = false;
filter.addEventListener("input", async () => {
  isBehind = true;
  if (isAnswering) return;
  isAnswering = true;
  while (isBehind) {
    isBehind = false;
    const path = typed();
    if (!await show(path, { push: false })) continue;
    if (isTyping) history.replaceState({ list: true }, "", path);
    else history.pushState({ list: true }, "", path);
    isTyping = true;
  }
  isAnswering = false;
});
filter.addEventListener("submit", (event) => {
  event.preventDefault();
  isBehind = false;
  show(typed());
});
filter.addEventListener("focusout", () => { isTyping = false; });
globalThis.addEventListener("popstate", () => {
  const parameters = new URL(location.href).searchParams;
  for (const field of filter.querySelectorAll("input")) field.value = parameters.get(field.name) ?? "";
  show(location.pathname + location.search, { push: false });
});

list.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/?'], a[href='/']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const parameters = new URL(link.href).searchParams;
  for (const field of filter.querySelectorAll("input")) field.value = parameters.get(field.name) ?? "";
  show(link.pathname + link.search);
  if (link.closest(".pages")) list.scrollIntoView({ block: "start" });
});

document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (event.key === "/" && !isWriting && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// -- selecting

function count() {
  const [all, chosen] = [boxes(), boxes().filter((box) => box.checked)];
  const every = document.getElementById("select-all");
  const shown = document.getElementById("selected");
  if (!every || !shown) return;
  every.checked = all.length > 0 && chosen.length === all.length;
  every.indeterminate = chosen.length > 0 && chosen.length < all.length;
  const matching = document.getElementById("all-matching");
  const selected = matching?.checked ? Number(matching.dataset.count) : chosen.length;
  shown.hidden = !selected;
  shown.textContent = shown.dataset.text.replace("{count}", selected.toLocaleString(document.documentElement.lang));
}

list.addEventListener("change", (event) => {
  if (event.target.id === "select-all") {
    for (const box of boxes()) box.checked = event.target.checked;
  }
  count();
});
count();

// -- collecting, with progress

let streams = 0;

list.addEventListener("click", (event) => {
  const button = event.target.closest("button.collect");
  if (!button || streams >= STREAMS) return;
  event.preventDefault();
  const row = button.closest("tr");
  if (!row.dataset.busy) collect(row.dataset.name);
});

async function collect(name) {
  const say = (text) => { said.textContent = `${name}: ${text}`; };
  const row = () => document.getElementById(`row-${name}`);
  const told = (session, text) => text.replace("{done}", session.collected).replace("{all}", session.listed);
  const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";
  row().dataset.busy = "yes";
  const progress = row().querySelector(".progress");
  progress.hidden = false;
  progress.textContent = said.dataset.begun;
  streams += 1;
  try {
    const answer = await fetch(`/api/v1/collectors/${name}/collect?wait=true`, { method: "POST", headers: { "X-CSRF-Token": csrf } });
    if (answer.status === 401) logIn();
    if (!answer.ok) {
      say((await answer.json()).detail ?? said.dataset.failed);
    } else {
      for await (const [kind, session] of events(answer.body)) {
        if (kind === "progress") progress.textContent = told(session, said.dataset.progress);
        else say(session.error ? session.error.message : told(session, said.dataset.finished));
      }
    }
  } catch {
    say(said.dataset.failed);
  } finally {
    streams -= 1;
    progress.hidden = true;
    if (row()) delete row().dataset.busy;
    changed([name]);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
      if (fields.data) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

// -- changes as they happen: rows on the screen once a second at most, everything else seldom

const waiting = new Set();
let isAll = false;
let rowTimer = 0;
let listTimer = 0;

function changed(names) {
  const there = new Set(rows().map((row) => row.dataset.name));
  for (const name of names) {
    if (there.has(name)) waiting.add(name);
  }
  if (waiting.size) rowTimer ||= setTimeout(freshRows, ROWS_EVERY / 4);
  listTimer ||= setTimeout(freshList, names.every((name) => there.has(name)) ? LIST_EVERY : ROWS_EVERY);
}

function onScreen(name) {
  const box = document.getElementById(`row-${name}`)?.getBoundingClientRect();
  return box && box.bottom >= 0 && box.top <= innerHeight;
}

async function freshRows() {
  const names = document.visibilityState === "visible" ? [...waiting].filter(onScreen) : [];
  if (names.length) {
    for (const name of names) waiting.delete(name);
    const wanted = new URLSearchParams(names.map((name) => ["name", name]));
    try {
      const made = await fragment(`/rows?${wanted}`, "rows");
      kept(() => [...made.children].forEach(put));
    } catch { /* the stream tells that the connection is lost */ }
  }
  rowTimer = setTimeout(() => {
    rowTimer = 0;
    if ([...waiting].some(onScreen)) freshRows();
  }, ROWS_EVERY);
}

async function freshList() {
  if (document.visibilityState === "visible") {
    isAll = false;
    const here = location.pathname + location.search;
    try {
      const [causes, table] = await Promise.all([fragment(here, "attention"), fragment(here, "list")]);
      if (!attention.contains(document.activeElement)) {
        const isOpen = attention.querySelector("details")?.open;
        attention.replaceChildren(causes);
        const more = attention.querySelector("details");
        if (more && isOpen) more.open = true;
      }
      if (here === location.pathname + location.search) replaceList(table);
    } catch { /* as above */ }
  } else {
    isAll = true;
  }
  listTimer = setTimeout(() => {
    listTimer = 0;
    if (isAll) freshList();
  }, LIST_EVERY);
}

document.addEventListener("scroll", () => { if (waiting.size) rowTimer ||= setTimeout(freshRows, ROWS_EVERY / 4); }, { passive: true });
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  if (isAll) { clearTimeout(listTimer); freshList(); }
  if (waiting.size) rowTimer ||= setTimeout(freshRows, 0);
});

onChanges((message) => {
  if (message.everything) {
    clearTimeout(listTimer);
    freshList();
  } else {
    changed(message.names);
  }
});

localTimes();
