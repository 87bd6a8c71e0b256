// A collector's page, live: the state while sessions come and go, progress, and a check in place.
import { onChanges } from "./live.js";
import { enable, keepFocus, localTimes, logIn, stillPressed } from "./page.js";

const live = document.getElementById("live");
const name = live.dataset.name;
const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";

// -- the live part is drawn by the server, as the whole page is

let drawing = false;
let again = false;

async function redraw() {
  if (drawing) {
    again = true;
    return;
  }
  drawing = true;
  try {
    const open = document.getElementById("sessions-table")?.open;
    const answer = await fetch(location.pathname, { headers: { "X-Fragment": "live" } });
    if (answer.status === 401) logIn();
    if (answer.status === 404) location.assign("/");
    if (answer.ok) {
      const drawn = await answer.text();
      keepFocus(live, () => {
        live.innerHTML = drawn;
        localTimes(live);
        const table = document.getElementById("sessions-table");
        if (table && open) table.open = true;
      });
      stillPressed(live);
    }
  } catch {
    // the daemon is away; the next event redraws
  } finally {
    drawing = false;
    if (again) {
      again = false;
      redraw();
    }
  }
}

onChanges((message) => {
  if (message.everything || message.names.includes(name)) redraw();
});

// -- collecting: the counters grow while the session runs

const progress = document.getElementById("progress");

function shown(session) {
  return progress.dataset.text.replace(/\{(\w+)\}/g, (_, key) => session[key]);
}

async function collect(button) {
  const form = button.form;
  button.disabled = true;
  try {
    const answer = await fetch(`/api/v1/collectors/${name}/collect?wait=true`, {
      method: "POST",
      headers: { "X-CSRF-Token": csrf, Accept: "text/event-stream, application/problem+json" },
    });
    if (!answer.ok) {
      form.submit(); // the page says why
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
      const pieces = text.split("\n\n");
      text = pieces.pop();
      for (const piece of pieces) {
        const data = piece.split("\n").find((line) => line.startsWith("data: "));
        if (data) {
          progress.hidden = false;
          progress.textContent = shown(JSON.parse(data.slice(6)));
        }
      }
    }
    progress.classList.remove("busy");
    redraw();
  } finally {
    enable(button);
  }
}

document.querySelector("[data-collect]")?.addEventListener("click", (event) => {
  event.preventDefault();
  progress.classList.add("busy");
  collect(event.target.closest("button"));
});

// -- a check: its result appears here

const checked = document.getElementById("checked");

document.querySelector("[data-check]")?.addEventListener("click", async (event) => {
  event.preventDefault();
  const button = event.target.closest("button");
  button.disabled = true;
  button.classList.add("busy");
  try {
    const answer = await fetch(button.form.action, {
      method: "POST",
      headers: { "X-Fragment": "checked", Accept: "text/html" },
      body: new URLSearchParams(new FormData(button.form)),
    });
    if (!answer.ok) {
      button.form.submit();
      return;
    }
    checked.innerHTML = await answer.text();
  } finally {
    enable(button);
    button.classList.remove("busy");
  }
});
