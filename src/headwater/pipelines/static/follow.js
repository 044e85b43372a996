// A stream of server-sent events that is held only while the page is looked at, so that many open tabs do not use up
// the few connections a browser has for one site. A session that has ended leads to the login.
export function follow(url, listeners) {
  let source = null;
  let over = false;

  function close() {
    source?.close();
    source = null;
  }

  function open() {
    if (source || over || document.hidden) return;
    source = new EventSource(url);
    for (const [name, listener] of Object.entries(listeners)) {
      source.addEventListener(name, (event) => listener(JSON.parse(event.data)));
    }
    source.addEventListener("end", () => { over = true; close(); });
    source.addEventListener("error", async () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      const answer = await fetch(url, { method: "GET", signal: AbortSignal.timeout(3000) }).catch(() => null);
      if (answer?.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      else if (!over) setTimeout(open, 3000);
      answer?.body?.cancel();
    });
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
  return () => { over = true; close(); };
}
