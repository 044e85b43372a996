// A step's log: read as it is written, searched as one types. A reading that is cut off goes on where it was.
const LINES_SHOWN = 5000;

export function installLog(element) {
  const box = element.querySelector("pre");
  const search = element.querySelector("[data-log-search]");
  const count = element.querySelector("[data-log-count]");
  const followed = element.querySelector("[data-log-follow]");
  const state = element.querySelector("[data-log-state]");
  const stop = new AbortController();
  let lines = [];
  let rest = "";
  let bytes = 0;
  let drawn = 0;
  let pending = false;

  function matches(line) {
    return line.toLowerCase().includes(search.value.trim().toLowerCase());
  }

  function element_for(line) {
    const text = search.value.trim();
    const row = document.createElement("span");
    if (!text) {
      row.textContent = line + "\n";
      return row;
    }
    const lower = line.toLowerCase();
    let at = 0;
    for (let found = lower.indexOf(text.toLowerCase()); found >= 0; found = lower.indexOf(text.toLowerCase(), at)) {
      row.append(line.slice(at, found));
      const mark = document.createElement("mark");
      mark.textContent = line.slice(found, found + text.length);
      row.append(mark);
      at = found + text.length;
    }
    row.append(line.slice(at) + "\n");
    return row;
  }

  function draw(anew) {
    if (anew) {
      box.replaceChildren();
      drawn = Math.max(0, search.value.trim() ? 0 : lines.length - LINES_SHOWN);
      if (drawn) box.append(`… ${drawn.toLocaleString()} earlier lines: search finds them, the download has them\n`);
    }
    const fresh = lines.slice(drawn).filter(matches);
    box.append(...fresh.slice(-LINES_SHOWN).map(element_for));
    drawn = lines.length;
    const text = search.value.trim();
    count.textContent = text ? `${lines.filter(matches).length.toLocaleString()} of ${lines.length.toLocaleString()} lines` : `${lines.length.toLocaleString()} lines`;
    if (followed.checked) box.scrollTop = box.scrollHeight;
  }

  function later() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(box.childElementCount > LINES_SHOWN * 2); });
  }

  function take(text) {
    const parts = (rest + text).split("\n");
    rest = parts.pop();
    if (!parts.length) return;
    for (const part of parts) lines.push(part.replace(/^.*\r(?!$)/, "").replace(/\x1b\[[0-9;]*[A-Za-z]/g, ""));
    later();
  }

  async function read() {
    const decoder = new TextDecoder();
    while (!stop.signal.aborted) {
      const answer = await fetch(`${element.dataset.log}&follow=1&skip=${bytes}`, { signal: stop.signal });
      if (answer.status === 401) {
        location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
        return;
      }
      if (!answer.ok) {
        state.textContent = `The log cannot be read: ${answer.status} ${answer.statusText}`;
        return;
      }
      const open = answer.headers.get("X-Log-State") === "open";
      state.textContent = open ? "Following …" : "";
      const reader = answer.body.getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        bytes += piece.value.length;
        take(decoder.decode(piece.value, { stream: true }));
      }
      if (!open) {
        if (rest) take("\n");
        state.textContent = lines.length ? "" : "The step wrote nothing, or its log is gone.";
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  search.addEventListener("input", () => draw(true));
  box.addEventListener("wheel", () => { if (box.scrollTop + box.clientHeight < box.scrollHeight - 40) followed.checked = false; }, { passive: true });
  read().catch((error) => { if (error.name !== "AbortError") state.textContent = "The connection was lost. Reload the page to go on."; });
  return () => stop.abort();
}
