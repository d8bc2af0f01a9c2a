// The map of the catalogue: points by WebGL, everything else on a canvas above. Near means: the same people listen.

import { ask, css, el, idPath, post } from "/static/api.js";
import { play } from "/static/player.js";
import { showPlaylist } from "/static/views.js";

const COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#ff9da7", "#9c755f", "#17becf"];
const OTHER = "#8a93a0";
const VERTEX = `attribute vec2 place; attribute vec3 colour; uniform vec3 view; uniform float size; uniform float aspect; varying vec3 shade;
void main() { vec2 p = (place - view.xy) * view.z; gl_Position = vec4(p.x / max(aspect, 1.0), p.y * min(aspect, 1.0), 0.0, 1.0); gl_PointSize = size; shade = colour; }`;
const FRAGMENT = `precision mediump float; varying vec3 shade;
void main() { float d = length(gl_PointCoord - 0.5); if (d > 0.5) discard; gl_FragColor = vec4(shade, 1.0) * smoothstep(0.5, 0.42, d); }`;

export async function map(main) {
  const held = await ask("/api/map");
  const n = held.ids.length;
  const raw = new Uint16Array(Uint8Array.from(atob(held.xy), (one) => one.charCodeAt(0)).buffer);
  const places = new Float32Array(2 * n);
  for (let i = 0; i < 2 * n; i++) places[i] = (raw[i] / 65535) * 2 - 1;
  const tip = el("div", { id: "map-tip", hidden: true });
  const points = el("canvas", { "aria-hidden": "true" });
  const above = el("canvas", { id: "map-above", tabindex: "0", role: "application", "aria-label": `Map of ${n} songs. Arrow keys move, plus and minus zoom, Enter opens the song in the middle.` });
  const box = el("div", { id: "map-box" }, points, above, tip);
  const legend = el("div", { id: "legend", "aria-label": "Colours" });
  const choice = el("select", { "aria-label": "Colour by" }, [["artists", "Artist"], ["genres", "Genre"], ["years", "Year"], ["plays", "Plays"], ["cold", "Never played"], ["areas", "Area"]].map(([value, text]) => el("option", { value }, text)));
  const lassoButton = el("button", { class: "button", type: "button", "aria-pressed": "false" }, "Lasso");
  const said = el("span", { class: "quiet", role: "status" });
  main.replaceChildren(
    el("h1", {}, "Map"), el("p", { class: "lead" }, "Songs lie near where the same people listen. Distances on a plane are approximate: a click draws lines to the songs that are truly nearest."),
    el("div", { class: "row" }, choice, lassoButton, said), box, el("div", { class: "row" }, legend));

  const view = { x: 0, y: 0, zoom: 0.94 };
  const gl = points.getContext("webgl", { antialias: false, preserveDrawingBuffer: true });
  const state = { chosen: -1, near: [], lasso: null, lassoing: false, hover: -1 };
  const program = gl ? start(gl) : null;
  const placeBuffer = gl?.createBuffer(), colourBuffer = gl?.createBuffer();
  if (gl) fill(gl, placeBuffer, places);
  let colours = new Float32Array(3 * n);

  function recolour() {
    const [rgb, names] = colour(held, places, choice.value, n);
    colours = rgb;
    if (gl) fill(gl, colourBuffer, colours);
    legend.replaceChildren(...names.map(([name, shade]) => { const dot = el("b"); dot.style.background = shade; return el("span", {}, dot, name); }));
    draw();
  }

  function draw() {
    const scale = devicePixelRatio || 1, w = box.clientWidth, h = box.clientHeight;
    for (const one of [points, above]) if (one.width !== Math.round(w * scale) || one.height !== Math.round(h * scale)) { one.width = Math.round(w * scale); one.height = Math.round(h * scale); }
    const began = performance.now();
    if (gl) paint(gl, program, placeBuffer, colourBuffer, view, n, points);
    drawAbove(above.getContext("2d"), scale, w, h);
    box.dataset.ms = String(performance.now() - began);
    box.dataset.drawn = String(n);
  }

  const onScreen = (i) => {
    const w = box.clientWidth, h = box.clientHeight, aspect = w / h;
    const x = ((places[2 * i] - view.x) * view.zoom) / Math.max(aspect, 1), y = (places[2 * i + 1] - view.y) * view.zoom * Math.min(aspect, 1);
    return [((x + 1) / 2) * w, ((1 - y) / 2) * h];
  };
  box.screenOf = onScreen;

  function drawAbove(pen, scale, w, h) {
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, w, h);
    pen.strokeStyle = css("--ink"); pen.lineWidth = 1.5;
    if (state.chosen >= 0) {
      const [x, y] = onScreen(state.chosen);
      for (const other of state.near) { const [ox, oy] = onScreen(other); pen.beginPath(); pen.moveTo(x, y); pen.lineTo(ox, oy); pen.stroke(); ring(pen, ox, oy, 5); }
      ring(pen, x, y, 8);
    }
    if (state.hover >= 0) ring(pen, ...onScreen(state.hover), 7);
    if (state.lasso) { pen.beginPath(); state.lasso.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y))); pen.closePath(); pen.globalAlpha = 0.15; pen.fillStyle = css("--accent"); pen.fill(); pen.globalAlpha = 1; pen.stroke(); }
  }

  function nearest(x, y, reach = 14) {
    let best = -1, least = reach * reach;
    for (let i = 0; i < n; i++) { const [px, py] = onScreen(i); const d = (px - x) ** 2 + (py - y) ** 2; if (d < least) { least = d; best = i; } }
    return best;
  }

  async function choose(i) {
    state.chosen = i; state.near = [];
    if (i < 0) return draw();
    const near = await ask(`/api/similar/${idPath(held.ids[i])}?k=8`);
    const at = new Map(held.ids.map((id, place) => [id, place]));
    state.near = near.map((one) => at.get(one.song_id));
    const link = el("a", { href: `#/song/${encodeURIComponent(held.ids[i])}` }, held.names[i]);
    const button = el("button", { class: "button", type: "button", onclick: () => play({ song_id: held.ids[i], name: held.names[i], artist: held.artists[i] }, near) }, "Play");
    said.replaceChildren(link, " ", button, ` nearest: ${near.slice(0, 3).map((one) => one.name).join(", ")}`);
    draw();
  }

  async function endLasso() {
    const inside = [];
    for (let i = 0; i < n && inside.length < 100; i++) if (within(state.lasso, ...onScreen(i))) inside.push(held.ids[i]);
    state.lasso = null; draw();
    if (!inside.length) { said.textContent = "No song inside."; return; }
    showPlaylist(main, await post("/api/playlist", { seeds: inside, k: Math.max(inside.length, 25) }), `A playlist from ${inside.length} songs on the map`);
  }

  const at = (event) => { const b = box.getBoundingClientRect(); return [event.clientX - b.left, event.clientY - b.top]; };
  let drag = null, moved = false;
  above.addEventListener("pointerdown", (event) => { above.setPointerCapture(event.pointerId); drag = at(event); moved = false; if (state.lassoing) state.lasso = [drag]; });
  above.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (drag && state.lasso) { state.lasso.push([x, y]); moved = true; return draw(); }
    if (drag) { const unit = 2 / (Math.max(box.clientWidth, box.clientHeight) === box.clientWidth ? box.clientHeight : box.clientWidth) / view.zoom; view.x -= (x - drag[0]) * unit; view.y += (y - drag[1]) * unit; moved = moved || Math.hypot(x - drag[0], y - drag[1]) > 2; drag = [x, y]; return draw(); }
    const i = nearest(x, y);
    if (i === state.hover) return;
    state.hover = i; tip.hidden = i < 0;
    if (i >= 0) { tip.textContent = `${held.names[i]} · ${held.artists[i]} · ${held.plays[i].toLocaleString()} plays`; tip.style.left = `${Math.min(x + 14, box.clientWidth - 180)}px`; tip.style.top = `${y + 14}px`; }
    draw();
  });
  above.addEventListener("pointerup", (event) => { const was = moved; drag = null; if (state.lasso) return endLasso(); if (!was) choose(nearest(...at(event))); });
  above.addEventListener("wheel", (event) => { event.preventDefault(); view.zoom = Math.min(400, Math.max(0.5, view.zoom * Math.exp(-event.deltaY / 500))); draw(); }, { passive: false });
  above.addEventListener("keydown", (event) => {
    const step = 0.1 / view.zoom, keys = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (keys[event.key]) { view.x += keys[event.key][0]; view.y += keys[event.key][1]; }
    else if (event.key === "+" || event.key === "-") view.zoom *= event.key === "+" ? 1.25 : 0.8;
    else if (event.key === "Enter") return choose(nearest(box.clientWidth / 2, box.clientHeight / 2, 1e9));
    else return;
    event.preventDefault(); draw();
  });
  lassoButton.addEventListener("click", () => { state.lassoing = !state.lassoing; lassoButton.setAttribute("aria-pressed", String(state.lassoing)); said.textContent = state.lassoing ? "Draw around songs: they become a playlist." : ""; });
  choice.addEventListener("change", recolour);
  new ResizeObserver(draw).observe(box);
  if (!gl) said.textContent = "This browser offers no WebGL: the map cannot be drawn. Search finds songs as well.";
  recolour();
}

function ring(pen, x, y, radius) { pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.stroke(); }

function within(outline, x, y) {
  let inside = false;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const [a, b] = outline[i], [c, d] = outline[j];
    if (b > y !== d > y && x < ((c - a) * (y - b)) / (d - b) + a) inside = !inside;
  }
  return inside;
}

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);

function colour(held, places, by, n) {
  const rgb = new Float32Array(3 * n);
  if (by === "years" || by === "plays") {
    const values = held[by].map((one) => (one === null ? null : by === "plays" ? Math.log1p(one) : one));
    const known = values.filter((one) => one !== null), low = Math.min(...known), high = Math.max(...known);
    values.forEach((one, i) => rgb.set(one === null ? parts(OTHER) : ramp((one - low) / Math.max(high - low, 1e-9)), 3 * i));
    const name = (t) => `rgb(${ramp(t).map((one) => Math.round(255 * one)).join(",")})`;
    const shown = known.length ? [low, high].map((one) => String(Math.round(by === "plays" ? Math.expm1(one) : one))) : ["unknown", ""];
    return [rgb, [[`${shown[0]}`, name(0)], [`${shown[1]}`, name(1)]]];
  }
  const kinds = by === "cold" ? held.ids.map((_, i) => (held.cold[i] ? "nobody has played it" : "played"))
    : by === "areas" ? held.ids.map((_, i) => `area ${1 + Math.floor((places[2 * i] + 1) * 1.499) + 3 * Math.floor((places[2 * i + 1] + 1) * 1.499)}`) : held[by].map((one) => one || "unknown");
  const counts = new Map();
  for (const one of kinds) counts.set(one, (counts.get(one) || 0) + 1);
  const best = [...counts].sort((a, b) => b[1] - a[1]).filter(([name]) => name !== "unknown").slice(0, COLOURS.length).map(([name]) => name);
  kinds.forEach((one, i) => rgb.set(parts(best.includes(one) ? COLOURS[best.indexOf(one)] : OTHER), 3 * i));
  const names = best.map((name, at) => [name, COLOURS[at]]);
  return [rgb, counts.size > best.length ? [...names, ["others", OTHER]] : names];
}

const ramp = (t) => [0.15 + 0.8 * t, 0.35 + 0.4 * t, 0.85 - 0.6 * t];

function start(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) { const shader = gl.createShader(kind); gl.shaderSource(shader, text); gl.compileShader(shader); gl.attachShader(program, shader); }
  gl.linkProgram(program);
  return program;
}

function fill(gl, buffer, data) { gl.bindBuffer(gl.ARRAY_BUFFER, buffer); gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW); }

function paint(gl, program, placeBuffer, colourBuffer, view, n, canvas) {
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT);
  gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  gl.useProgram(program);
  for (const [name, buffer, size] of [["place", placeBuffer, 2], ["colour", colourBuffer, 3]]) { const at = gl.getAttribLocation(program, name); gl.bindBuffer(gl.ARRAY_BUFFER, buffer); gl.enableVertexAttribArray(at); gl.vertexAttribPointer(at, size, gl.FLOAT, false, 0, 0); }
  gl.uniform3f(gl.getUniformLocation(program, "view"), view.x, view.y, view.zoom);
  gl.uniform1f(gl.getUniformLocation(program, "aspect"), canvas.width / canvas.height);
  gl.uniform1f(gl.getUniformLocation(program, "size"), Math.max(3, Math.min(14, 260 / Math.sqrt(n) * Math.sqrt(view.zoom))) * (devicePixelRatio || 1));
  gl.drawArrays(gl.POINTS, 0, n);
}
