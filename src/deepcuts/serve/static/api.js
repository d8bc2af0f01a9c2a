// Calls of the server, and elements made from what it says. Texts are never taken for markup.

export class Problem extends Error {}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem("The server does not answer. Is `deepcuts serve` still running?");
  }
  const isJson = (response.headers.get("content-type") || "").includes("json");
  const content = isJson ? await response.json() : null;
  if (!response.ok) throw new Problem(content?.detail || `The server said ${response.status}.`);
  return content;
}

export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// Ids may hold slashes: each part is escaped by itself.
export const idPath = (id) => id.split("/").map(encodeURIComponent).join("/");

export function el(name, given = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return node;
}

export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export function tell(problem) {
  const box = document.getElementById("alert");
  box.textContent = problem ? problem.message || String(problem) : "";
  box.hidden = !problem;
}

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
