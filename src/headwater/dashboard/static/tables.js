// Tables by keyboard: j and k move, Enter opens, / goes to the filter. A click anywhere in a row opens it.
const typing = (element) => element.closest("input, textarea, select, [contenteditable], dialog") !== null;

function move(step) {
  const rows = [...document.querySelectorAll("tbody tr[data-href]")];
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.classList.contains("here"));
  const next = rows[Math.max(0, Math.min(rows.length - 1, now < 0 ? 0 : now + step))];
  for (const row of rows) row.classList.toggle("here", row === next);
  next.querySelector("a")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

export function installTables() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      const filter = document.querySelector("[data-filter]");
      if (!filter) return;
      event.preventDefault();
      filter.focus();
      filter.select();
    }
  });
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-href]");
    if (!row || event.target.closest("a, button, input") || getSelection().toString()) return;
    location.assign(row.dataset.href);
  });
}
