// Changes of collectors, as they happen. A browser opens six connections to a host at most, so all
// tabs share one stream of events: the tab that holds a lock reads it and tells the others.
import { clock, logIn } from "./page.js";

const NAME = "mailcollector-events";
const STREAM = "/api/v1/events?since=now&fields=metadata.name";
const GATHER = 300;
const RETRY = 2000;
const STILL_ALLOWED = 30000;

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(NAME) : null;
const connection = document.getElementById("connection");
const hearers = new Set();
let seenAt = Date.now();
let lostAt = 0;
let isLeader = false;
let isSearching = false;

// `hear` is called with {names: [...]}, and with {everything: true} after a gap.
export function onChanges(hear) {
  hearers.add(hear);
  search();
}

// Says that the daemon does not answer, and when it did last.
export function offline() {
  connection.textContent = connection.dataset.lost.replace("{time}", clock(new Date(lostAt || seenAt)));
  connection.hidden = false;
}

// An answer came. Where the events are away too, their return tells.
export function online() {
  if (!lostAt) connection.hidden = true;
}

function dispatch(message) {
  if ("lostAt" in message) {
    if (lostAt && !message.lostAt) seenAt = Date.now();
    lostAt = message.lostAt;
    if (lostAt) offline();
    else connection.hidden = true;
  } else {
    seenAt = Date.now();
    for (const hear of hearers) hear(message);
  }
}

function tell(message) {
  dispatch(message);
  channel?.postMessage(message);
}

channel?.addEventListener("message", ({ data }) => {
  if (data.hello) {
    if (isLeader && lostAt) channel.postMessage({ lostAt });
  } else {
    dispatch(data);
  }
});

function search() {
  if (isSearching) return;
  isSearching = true;
  channel?.postMessage({ hello: true });
  if (navigator.locks && channel) {
    navigator.locks.request(NAME, () => { lead(); return new Promise(() => {}); });
  } else {
    lead();
  }
}

function lead() {
  isLeader = true;
  let alive = Date.now();
  let isFirst = true;
  let names = new Set();
  let timer = 0;

  function note(name) {
    alive = Date.now();
    names.add(name);
    timer ||= setTimeout(() => {
      timer = 0;
      const told = [...names];
      names = new Set();
      tell({ names: told });
    }, GATHER);
  }

  function open() {
    const source = new EventSource(STREAM);
    source.addEventListener("synced", () => {
      alive = Date.now();
      if (lostAt) tell({ lostAt: 0 });
      if (!isFirst) tell({ everything: true });
      isFirst = false;
    });
    source.addEventListener("collector", (event) => note(JSON.parse(event.data).metadata.name));
    source.addEventListener("removed", (event) => note(JSON.parse(event.data).name));
    source.addEventListener("error", () => {
      source.close();
      if (!lostAt) tell({ lostAt: alive });
      isFirst = false;
      setTimeout(retry, RETRY);
    });
    const heartbeat = setInterval(() => {
      if (source.readyState === EventSource.CLOSED) clearInterval(heartbeat);
      else if (source.readyState === EventSource.OPEN) alive = Date.now();
    }, 1000);
  }

  async function retry() {
    if (await isAllowed()) open();
    else setTimeout(retry, RETRY);
  }

  open();
}

// Whether the daemon answers. Where it does not know us any more, the login is next.
async function isAllowed() {
  try {
    const answer = await fetch("/rows", { cache: "no-store" });
    if (answer.status === 401) logIn();
    return answer.ok;
  } catch {
    return false;
  }
}

setInterval(() => document.visibilityState === "visible" && !lostAt && isAllowed(), STILL_ALLOWED);
