// The run page while it is open: steps are picked without leaving it, and it changes as the run does.
import { follow } from "./follow.js";
import { installLog } from "./logs.js";

const PARTS = ["#run-head", "#graph-part", "#timeline-part", "#panel"];
const WORDS = { PENDING: "Pending", RUNNING: "Running", PAUSED: "Paused", CANCELING: "Canceling", SUCCEEDED: "Succeeded", FAILED: "Failed", SKIPPED: "Skipped", CACHED: "Cached", CANCELED: "Canceled", NONE: "Not started" };
let zoom = null;
let closeLog = null;
let busy = false;
let again = false;
let timer = null;
let cost = 0;

function settle() {
  const frame = document.querySelector(".graph-frame");
  if (frame && zoom !== null) scale(frame.querySelector("svg.graph"), zoom);
  else if (frame) fit(frame);
  const log = document.querySelector("[data-log]");
  if (log && !log.dataset.read) {
    closeLog?.();
    log.dataset.read = "yes";
    closeLog = installLog(log);
  } else if (!log) {
    closeLog?.();
    closeLog = null;
  }
  window.htmx?.process(document.getElementById("panel") ?? document.body);
  document.body.dispatchEvent(new CustomEvent("htmx:afterSettle", { bubbles: true }));
}

function scale(svg, factor) {
  svg.setAttribute("width", svg.dataset.width * factor);
  svg.setAttribute("height", svg.dataset.height * factor);
}

function fit(frame) {
  const svg = frame.querySelector("svg.graph");
  const room = frame.clientWidth - 4;
  scale(svg, room > 0 && svg.dataset.width > room ? Math.max(0.55, room / svg.dataset.width) : 1);
}

async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (answer.redirected && new URL(answer.url).pathname === "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return null;
  }
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

// Replaces parts of the page by fresh ones; a log that is being read and a chart that is drawn stay as they are.
function replace(fresh, keepPanel) {
  const focused = document.activeElement?.closest?.("[data-path], [data-go]");
  const path = focused?.closest("[data-path]")?.dataset.path;
  const frame = document.querySelector(".graph-frame");
  const [left, top] = frame ? [frame.scrollLeft, frame.scrollTop] : [0, 0];
  const before = document.querySelector("svg.graph")?.dataset.level;
  for (const selector of PARTS) {
    if (selector === "#panel" && keepPanel) continue;
    const old = document.querySelector(selector);
    const next = fresh.querySelector(selector);
    if (old && next && old.innerHTML !== next.innerHTML) {
      old.replaceWith(document.adoptNode(next));
      if (selector === "#run-head") window.htmx?.process(document.querySelector(selector));
    }
  }
  const now = document.querySelector(".graph-frame");
  if (now && before === document.querySelector("svg.graph")?.dataset.level) now.scrollTo(left, top);
  if (path) document.querySelector(`.graph [data-path="${CSS.escape(path)}"] a, a[data-path="${CSS.escape(path)}"]`)?.focus({ preventScroll: true });
  settle();
}

async function go(url, push) {
  const fresh = await load(url);
  if (!fresh) return;
  closeLog?.();
  closeLog = null;
  if (push) history.pushState(null, "", url);
  document.title = fresh.title;
  replace(fresh, false);
}

function panelStands(fresh) {
  const state = (root) => root.querySelector("#panel [data-step-state]")?.dataset.stepState;
  if (document.querySelector("#panel [data-log]")) {
    const head = document.querySelector("#panel .panel-head");
    const next = fresh.querySelector("#panel .panel-head");
    if (head && next) head.replaceWith(document.adoptNode(next));
    return true;
  }
  return Boolean(state(document)) && state(document) === state(fresh) && state(fresh) !== "PENDING" && state(fresh) !== "NONE";
}

async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  const started = performance.now();
  const url = location.href;
  const fresh = await load(url).catch(() => null);
  if (fresh && url === location.href) replace(fresh, panelStands(fresh));
  cost = performance.now() - started;
  busy = false;
  if (again) {
    again = false;
    later();
  }
}

function later() {
  if (timer !== null) return;
  timer = setTimeout(() => { timer = null; refresh(); }, Math.max(200, 3 * cost));
}

// Shows a changed state at once, before the parts around it are fetched anew.
function show(change) {
  for (const element of document.querySelectorAll(`[data-path="${CSS.escape(change.path)}"]`)) {
    for (const name of [...element.classList]) if (name.startsWith("state-")) element.classList.remove(name);
    element.classList.add(`state-${change.state.toLowerCase()}`);
    const sign = element.matches("a") ? element.querySelector("use") : element.querySelector(":scope > a > use.sign");
    sign?.setAttribute("href", `#i-${change.state.toLowerCase()}`);
    const word = element.querySelector(":scope > a .word");
    if (word) word.textContent = WORDS[change.state] ?? change.state;
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    const url = link.href.baseVal ?? link.href;
    if (!document.getElementById("graph-part")) return;
    event.preventDefault();
    go(url, true);
    return;
  }
  const button = event.target.closest("[data-zoom]");
  if (button) {
    const svg = document.querySelector("svg.graph");
    const step = Number(button.dataset.zoom);
    const now = svg.getAttribute("width") / svg.dataset.width;
    zoom = step === 0 ? null : Math.min(2, Math.max(0.3, now * (step > 0 ? 1.2 : 1 / 1.2)));
    if (zoom === null) fit(document.querySelector(".graph-frame"));
    else scale(svg, zoom);
  }
});
addEventListener("popstate", () => go(location.href, false));
addEventListener("resize", () => { const frame = document.querySelector(".graph-frame"); if (frame && zoom === null) fit(frame); });

settle();
const head = document.getElementById("run-head");
if (head?.dataset.changes) {
  // What runs grows on the timeline, also while nothing changes.
  setInterval(() => { if (!document.hidden && document.querySelector("#run-head[data-changes]")) later(); }, 1500);
  follow(head.dataset.changes, {
    changes: (news) => {
      for (const change of news.tasks) show(change);
      later();
    },
    end: () => setTimeout(refresh, 150),
  });
}
