// The lists: the table is fetched anew when something in it has changed; the filter acts while one types.
import { follow } from "./follow.js";

let running = null;

async function refresh(url, push) {
  running?.abort();
  running = new AbortController();
  const answer = await fetch(url, { signal: running.signal, headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const here = document.activeElement?.closest?.("tr[data-href]")?.dataset.href;
  for (const selector of ["#runs", ".chips", "#filter-said"]) {
    const old = document.querySelector(selector);
    const next = fresh.querySelector(selector);
    if (old && next) old.replaceWith(document.adoptNode(next));
    else if (old && selector === "#filter-said") old.remove();
    else if (next && selector === "#filter-said") document.querySelector("form.toolbar").after(document.adoptNode(next));
  }
  if (here) document.querySelector(`tr[data-href="${CSS.escape(here)}"] a`)?.focus({ preventScroll: true });
  if (push) history.replaceState(null, "", url);
}

const live = document.querySelector("[data-live]");
if (live) {
  let waiting = null;
  follow(live.dataset.live, {
    changed: () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => refresh(location.href, false), 200);
    },
  });
  const form = document.querySelector("form.toolbar");
  const box = form.querySelector("[data-filter]");
  let typing = null;
  box.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const values = new URLSearchParams(new FormData(form));
      for (const [name, value] of [...values]) if (!value) values.delete(name);
      refresh(`${location.pathname}?${values}`, true);
    }, 250);
  });
}
