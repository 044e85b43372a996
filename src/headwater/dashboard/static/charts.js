// Draws the Vega-Lite specifications that a page brings as JSON. The scripts are loaded only by a page that has one.
// Expressions run in Vega's interpreter, since the Content-Security-Policy forbids eval.
let libraries = null;

function load(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`./vendor/${name}`, import.meta.url);
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

async function loadLibraries() {
  await load("vega.js");
  const [, interpreter] = await Promise.all([load("vega-lite.js"), import("./vendor/vega-interpreter.js")]);
  return interpreter;
}

function look() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const quiet = { labelColor: colour("--muted"), titleColor: colour("--muted"), gridColor: colour("--line"), domainColor: colour("--line-strong"), tickColor: colour("--line-strong"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: "transparent" },
    axis: quiet,
    legend: { labelColor: colour("--muted"), titleColor: colour("--muted") },
    title: { color: colour("--text"), fontSize: 13, fontWeight: 600, anchor: "start" },
    text: { color: colour("--text"), fontSize: 12 },
    range: { heatmap: [colour("--bg-soft"), colour("--accent")], ramp: [colour("--bg-soft"), colour("--accent")], category: [colour("--accent"), colour("--cached"), colour("--canceled"), colour("--running"), colour("--failed")] },
    line: { color: colour("--accent"), strokeWidth: 2 },
    bar: { color: colour("--accent") },
  };
}

// A specification may name a colour of the page: "var:--muted".
function resolveColours(value, style) {
  if (typeof value === "string" && value.startsWith("var:")) return style.getPropertyValue(value.slice(4)).trim();
  if (Array.isArray(value)) return value.map((item) => resolveColours(item, style));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveColours(item, style)]));
  return value;
}

async function draw(element) {
  const { expressionInterpreter } = await (libraries ??= loadLibraries());
  const source = JSON.parse(element.querySelector("script[type='application/json']").textContent);
  const style = getComputedStyle(document.documentElement);
  const spec = resolveColours(source, style);
  const runtime = vega.parse(vegaLite.compile({ ...spec, config: { ...look(), ...spec.config } }).spec, null, { ast: true });
  let target = element.querySelector(".plot");
  if (!target) {
    target = document.createElement("div");
    target.className = "plot";
    element.append(target);
  }
  element.view?.finalize();
  element.view = new vega.View(runtime, { expr: expressionInterpreter, renderer: "canvas", container: target, hover: true });
  await element.view.runAsync();
}

export function drawCharts(root) {
  for (const element of root.querySelectorAll?.("[data-vega]:not([data-drawn])") ?? []) {
    element.dataset.drawn = "yes";
    draw(element).catch((error) => {
      element.dataset.drawn = "failed";
      console.error("a chart could not be drawn", error);
    });
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const element of document.querySelectorAll("[data-vega][data-drawn]")) draw(element);
});
