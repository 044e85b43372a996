// What every page does: follow old links, keep times going, menus, the command palette, tables by keyboard.
import { keepTimesGoing } from "./times.js";
import { installPalette } from "./palette.js";
import { installTables } from "./tables.js";
import { drawCharts } from "./charts.js";

// The kfp SDK prints /#/runs/details/<id>; a fragment never reaches the server, so it is followed here.
const OLD_LINKS = [
  [/^#\/runs\/details\/([\w-]+)/, (id) => `/runs/${id}`],
  [/^#\/pipelines\/details\/([\w-]+)(?:\/version\/([\w-]+))?/, (id, version) => `/pipelines/${id}${version ? `?version=${version}` : ""}`],
  [/^#\/experiments\/details\/([\w-]+)/, (id) => `/experiments/${id}`],
  [/^#\/artifacts\/([\w-]+)/, (id) => `/artifacts/${id}`],
];

function followOldLink() {
  for (const [pattern, target] of OLD_LINKS) {
    const found = location.hash.match(pattern);
    if (found) {
      location.replace(target(...found.slice(1)));
      return;
    }
  }
}

function carryHashThroughLogin() {
  const next = document.querySelector("form[data-login] input[name=next]");
  if (next && location.hash.startsWith("#/")) next.value = next.value.split("#")[0] + location.hash;
}

function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(name + "="));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

function installHtmx() {
  document.body.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-XSRF-TOKEN"] = cookie("XSRF-TOKEN");
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    else announce(reasonOf(event.detail.xhr));
  });
  document.body.addEventListener("htmx:sendError", () => announce("The platform does not answer. Is it running?"));
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const then = event.detail.successful && event.detail.elt.dataset.then;
    if (then) location.assign(then);
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    keepTimesGoing();
    drawCharts(event.target);
  });
}

function reasonOf(request) {
  try {
    return JSON.parse(request.responseText).message;
  } catch {
    return `That did not work: ${request.status} ${request.statusText}`;
  }
}

// Says something that is seen and read aloud, for a while.
let silence = null;
export function announce(text) {
  const place = document.getElementById("announce");
  place.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => (place.textContent = ""), 8000);
}

function installMenus() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) copyFrom(copy);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  const button = document.querySelector(".menu-button");
  button?.addEventListener("click", () => {
    const open = document.getElementById("navigation").classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  });
}

async function copyFrom(button) {
  const text = button.closest("figure").querySelector("pre").textContent;
  await navigator.clipboard?.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

function installNamespaces() {
  const menu = document.querySelector("[data-namespaces]");
  menu?.addEventListener("toggle", async () => {
    if (!menu.open || menu.dataset.loaded) return;
    const answer = await fetch("/api/namespaces");
    if (!answer.ok) return;
    const list = menu.querySelector(".menu-list");
    const rest = location.pathname.match(/^\/ns\/[^/]+\/([a-z]+)?/)?.[1] ?? "";
    list.replaceChildren();
    for (const name of (await answer.json()).namespaces) {
      const link = document.createElement("a");
      link.href = `/ns/${name}/${rest}`;
      link.textContent = name;
      if (name === menu.dataset.namespaces) link.setAttribute("aria-current", "true");
      list.append(link);
    }
    menu.dataset.loaded = "yes";
  });
}

if (document.querySelector("form[data-login]")) carryHashThroughLogin();
else followOldLink();
addEventListener("hashchange", followOldLink);
installHtmx();
installMenus();
installNamespaces();
installPalette();
installTables();
keepTimesGoing();
setInterval(keepTimesGoing, 1000);
drawCharts(document);
