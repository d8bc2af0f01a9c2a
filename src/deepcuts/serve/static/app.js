// Which page is shown, the search field, the keyboard.

import { el, tell } from "/static/api.js";
import { map } from "/static/map.js";
import { start } from "/static/player.js";
import * as views from "/static/views.js";

const main = document.getElementById("main");
const query = document.getElementById("query");
let turn = 0;

function route() {
  const [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const id = decodeURIComponent(rest.join("/"));
  switch (page) {
    case "": return ["", (box) => views.home(box, query.value.trim())];
    case "song": return ["", (box) => views.song(box, id)];
    case "listeners": return ["listeners", (box) => views.listeners(box)];
    case "listener": return ["listeners", (box) => views.listener(box, id)];
    case "map": return ["map", map];
    case "new": return ["new", views.newTrack];
    default: return ["", views.missing];
  }
}

async function show() {
  const [page, view] = route();
  const mine = ++turn;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const box = el("div");
  try {
    await view(box);
    tell(null);
  } catch (problem) {
    if (mine !== turn) return;
    tell(problem);
    box.replaceChildren(el("h1", {}, "That did not work"), el("p", { class: "lead" }, problem.message), el("button", { class: "button", type: "button", onclick: show }, "Try again"));
  }
  if (mine !== turn) return;
  main.replaceChildren(box);
  document.title = `${box.querySelector("h1")?.textContent || "deepcuts"} · deepcuts`;
}

let waiting = 0;
query.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (location.hash.replace(/^#\/?/, "") === "") show(); else location.hash = "#/"; }, 180);
});
document.getElementById("search").addEventListener("submit", (event) => { event.preventDefault(); if (location.hash.replace(/^#\/?/, "") === "") show(); else location.hash = "#/"; });
addEventListener("hashchange", () => { show(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
  const audio = document.getElementById("audio");
  if (event.key === "/" && !typing) { event.preventDefault(); query.focus(); }
  else if (event.key === " " && document.activeElement === document.body && audio.src) { event.preventDefault(); if (audio.paused) audio.play(); else audio.pause(); }
  else if (event.key === "Escape" && document.activeElement === query) { query.value = ""; query.blur(); show(); }
});
start(tell);
show();
