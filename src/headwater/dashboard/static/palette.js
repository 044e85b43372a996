// Ctrl-K or ⌘K: go to any page of the left column, or search the runs.
export function installPalette() {
  const dialog = document.querySelector("dialog.palette");
  if (!dialog || !document.getElementById("navigation")) return;
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  let chosen = 0;

  function items() {
    const text = input.value.trim().toLowerCase();
    const links = [...document.querySelectorAll("#navigation a")]
      .map((link) => ({ label: link.textContent.trim(), href: link.getAttribute("href"), kind: "Page" }))
      .filter((item) => item.label.toLowerCase().includes(text));
    const runs = links.length || text ? document.querySelector('#navigation a[href$="/runs"]') : null;
    if (text && runs) links.push({ label: `Runs named “${input.value.trim()}”`, href: `${runs.getAttribute("href")}?q=${encodeURIComponent(input.value.trim())}`, kind: "Search" });
    return links;
  }

  function show() {
    const found = items();
    chosen = Math.max(0, Math.min(chosen, found.length - 1));
    list.replaceChildren(...found.map((item, index) => {
      const entry = document.createElement("li");
      entry.setAttribute("role", "option");
      entry.setAttribute("aria-selected", String(index === chosen));
      entry.dataset.href = item.href;
      entry.append(item.label);
      const kind = document.createElement("small");
      kind.textContent = item.kind;
      entry.append(kind);
      return entry;
    }));
  }

  function open() {
    input.value = "";
    chosen = 0;
    show();
    dialog.showModal();
    input.focus();
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (dialog.open) dialog.close();
      else open();
    }
  });
  document.querySelector("[data-palette]")?.addEventListener("click", open);
  input.addEventListener("input", () => { chosen = 0; show(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") dialog.close(); // a search field would only empty itself
    else if (event.key === "ArrowDown") chosen += 1;
    else if (event.key === "ArrowUp") chosen -= 1;
    else if (event.key === "Enter") {
      const entry = list.children[chosen];
      if (entry) location.assign(entry.dataset.href);
      return;
    } else return;
    event.preventDefault();
    show();
  });
  list.addEventListener("click", (event) => {
    const entry = event.target.closest("li");
    if (entry) location.assign(entry.dataset.href);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
