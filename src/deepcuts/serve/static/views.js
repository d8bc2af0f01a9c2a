// What each page shows. A view fills the main element from what the server says.

import { ask, css, el, icon, idPath, post, Problem } from "/static/api.js";
import { mark, play } from "/static/player.js";

const TRIANGLE = "M4 2.5v11l9-5.5z";
const songLink = (song) => `#/song/${encodeURIComponent(song.song_id)}`;
const userLink = (id) => `#/listener/${encodeURIComponent(id)}`;

function minutes(seconds) {
  if (!seconds) return "";
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function songList(songs, { side = () => [], more = () => null, label = "Songs" } = {}) {
  if (!songs.length) return el("p", { class: "quiet" }, "Nothing here yet.");
  const best = Math.max(...songs.map((one) => one.score ?? 0), 1e-9);
  const list = el("ol", { class: "songs", "aria-label": label });
  for (const song of songs) {
    const meter = song.score === undefined ? null : el("span", { class: "meter", title: `score ${song.score.toFixed(3)}`, "aria-hidden": "true" }, el("i"));
    if (meter) meter.firstChild.style.width = `${Math.max(0, Math.min(100, (100 * song.score) / best))}%`;
    list.append(
      el("li", { "data-id": song.song_id },
        el("button", { class: "play", type: "button", "aria-label": `Play ${song.name}`, disabled: song.has_file === false, onclick: () => play(song, songs) }, icon(TRIANGLE)),
        el("div", { class: "name" }, el("a", { href: songLink(song) }, song.name), el("small", {}, [song.artist, song.album].filter(Boolean).join(" · ") || "unknown artist"), more(song)),
        el("div", { class: "side" }, side(song), meter, el("span", {}, minutes(song.duration)))));
  }
  queueMicrotask(mark);
  return list;
}

export async function home(main, query) {
  const [info, found] = await Promise.all([ask("/api/info"), ask(`/api/songs?k=100&q=${encodeURIComponent(query)}`)]);
  const what = query ? `${found.total.toLocaleString()} songs for “${query}”` : `${info.songs.toLocaleString()} songs`;
  const cold = `${info.cold_songs.toLocaleString()} of them nobody has played yet; ${info.users.toLocaleString()} listeners.`;
  main.replaceChildren(
    el("h1", {}, what),
    el("p", { class: "lead" }, query ? "Open a song to see what sounds like it, and who would like it." : cold),
    found.songs.length ? songList(found.songs) : el("p", { class: "quiet" }, "No song holds these words. Try fewer, or other ones."));
}

export async function song(main, id) {
  const path = idPath(id);
  const [one, similar, audience] = await Promise.all([ask(`/api/songs/${path}`), ask(`/api/similar/${path}?k=20`), ask(`/api/audience/${path}?k=10`)]);
  const facts = [one.artist, one.album, one.year, one.genre].filter(Boolean).join(" · ");
  main.replaceChildren(
    el("h1", {}, one.name),
    el("p", { class: "lead" }, facts || "No tags: named by its file."),
    el("div", { class: "row" },
      el("button", { class: "button main", type: "button", disabled: !one.has_file, onclick: () => play(one, [one, ...similar]) }, "Play"),
      el("button", { class: "button", type: "button", onclick: () => playlistFrom(main, one) }, "Make a playlist"),
      one.cold ? el("span", { class: "tag" }, "nobody has played it yet") : el("span", { class: "quiet" }, `${(one.listeners ?? 0).toLocaleString()} listeners`)),
    el("div", { class: "columns" },
      el("section", {}, el("h2", {}, "Songs like it"), songList(similar, { label: "Similar songs" })),
      el("section", {}, el("h2", {}, "Who would like it"), people(audience))));
}

function people(rows) {
  if (!rows.length) return el("p", { class: "quiet" }, "The model knows no listeners.");
  return el("ul", { class: "people", "aria-label": "Audience" }, rows.map((one) =>
    el("li", {}, el("a", { href: userLink(one.user_id) }, one.user_id), el("span", { class: "quiet" }, one.typical_artists || ""))));
}

async function playlistFrom(main, one) {
  const songs = await post("/api/playlist", { seeds: [one.song_id], k: 25 });
  showPlaylist(main, songs, `A playlist from ${one.name}`);
}

export function showPlaylist(main, songs, title) {
  const text = ["#EXTM3U", ...songs.flatMap((one) => [`#EXTINF:-1,${[one.artist, one.name].filter(Boolean).join(" - ")}`, new URL(`/api/stream/${idPath(one.song_id)}`, location.href).href])].join("\n");
  main.replaceChildren(
    el("h1", {}, title),
    el("p", { class: "lead" }, "The seeds first, then what fits them; artists are spaced."),
    el("div", { class: "row" },
      el("button", { class: "button main", type: "button", onclick: () => play(songs[0], songs) }, "Play all"),
      el("a", { class: "button", download: "deepcuts.m3u8", href: URL.createObjectURL(new Blob([text], { type: "audio/x-mpegurl" })) }, "Save as m3u8")),
    songList(songs, { label: "Playlist" }));
}

export async function listeners(main, query = "") {
  const found = await ask(`/api/users?k=200&q=${encodeURIComponent(query)}`);
  const field = el("input", { type: "search", "aria-label": "Search listeners", placeholder: "Search listeners", value: query });
  field.addEventListener("input", async () => {
    const again = await ask(`/api/users?k=200&q=${encodeURIComponent(field.value)}`);
    box.replaceChildren(list(again));
  });
  const list = (held) => held.users.length
    ? el("ul", { class: "people", "aria-label": "Listeners" }, held.users.map((id) => el("li", {}, el("a", { href: userLink(id) }, id))))
    : el("p", { class: "quiet" }, "No listener of this name.");
  const box = el("div", {}, list(found));
  main.replaceChildren(el("h1", {}, `${found.total.toLocaleString()} listeners`), el("p", { class: "lead" }, "Open one to see what to play them, and why."), el("div", { class: "row" }, field), box);
}

export async function listener(main, id) {
  let which = "both";
  const box = el("div", {});
  const fill = async () => {
    const songs = await ask(`/api/recommend/${idPath(id)}?k=30&which=${which}`);
    const why = (one) => {
      const inside = el("p", { class: "quiet" }, "…");
      const details = el("details", {}, el("summary", {}, "Why?"), inside);
      details.addEventListener("toggle", async () => {
        if (!details.open || details.dataset.filled) return;
        details.dataset.filled = "yes";
        try {
          const parts = await ask(`/api/explain?user_id=${encodeURIComponent(id)}&song_id=${encodeURIComponent(one.song_id)}&k=4`);
          if (one.has_file) details.append(secondsButton(id, one));
          inside.replaceChildren("It leans on ", ...parts.filter((part) => part.share > 0).flatMap((part, at) => [at ? ", " : "", el("a", { href: songLink(part) }, part.name), ` (${Math.round(100 * part.share)} %)`]), ".");
        } catch (problem) { inside.textContent = problem.message; }
      });
      return details;
    };
    box.replaceChildren(songs.length ? songList(songs, { more: why, label: "Recommendations" }) : el("p", { class: "quiet" }, "Nothing can be recommended: the model knows no plays of this listener, or no such songs are left."));
  };
  const choice = el("select", { "aria-label": "Which songs" }, [["both", "All songs"], ["cold", "Deep cuts: never played by anybody"], ["warm", "Songs that others play"]].map(([value, text]) => el("option", { value }, text)));
  choice.addEventListener("change", () => { which = choice.value; fill(); });
  const history = await ask(`/api/users/${idPath(id)}/history?k=30`);
  main.replaceChildren(
    el("h1", {}, id), el("p", { class: "lead" }, "Songs that this listener has not played, best first."),
    el("div", { class: "columns" },
      el("section", {}, el("div", { class: "row" }, choice), box),
      el("section", {}, el("h2", {}, "What they play"), songList(history, { label: "History", side: (one) => el("span", {}, `${one.plays.toLocaleString()} plays`) }))));
  await fill();
}

export async function newTrack(main) {
  const info = await ask("/api/info");
  const result = el("div", { "aria-live": "polite" });
  const input = el("input", { type: "file", id: "file", class: "hidden", accept: "audio/*,video/*,.flac,.opus,.wv,.ape" });
  const drop = el("div", { id: "drop" },
    el("p", {}, el("strong", {}, "Drop a track here")), el("p", { class: "quiet" }, "It is heard in seconds: where it lands among the songs, who would like it, which part speaks for it. It is not kept."),
    el("label", { class: "button main", for: "file", tabindex: "0", role: "button" }, "Choose a file"), input);
  const take = (file) => file && hearTrack(file, result).catch((problem) => result.replaceChildren(el("p", { role: "alert" }, problem.message)));
  input.addEventListener("change", () => take(input.files[0]));
  drop.querySelector("label").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") input.click(); });
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  const content = info.hears_new_songs ? drop : el("p", { class: "quiet" }, "This model holds no encoder, so it hears no new songs. Bundle it with --encoder.");
  main.replaceChildren(el("h1", {}, "A new track"), el("p", { class: "lead" }, "Nobody has played it yet; the model hears where it belongs."), content, result);
}

async function hearTrack(file, result) {
  result.replaceChildren(el("p", { class: "quiet", role: "status" }, `Listening to ${file.name} …`));
  const form = new FormData();
  form.append("file", file);
  const placed = await ask("/api/place?k=15", { method: "POST", body: form });
  const audio = el("audio", { controls: true, src: URL.createObjectURL(file), "aria-label": `Play ${placed.name}` });
  audio.style.width = "100%";
  const wave = el("canvas", { class: "wave", role: "img", "aria-label": "Spectrogram; the seconds that speak most for where the song lands are marked." });
  result.replaceChildren(
    el("h2", {}, placed.name), audio, wave,
    el("p", { class: "quiet" }, `${minutes(placed.seconds)} long. The line tells how much each moment speaks for where it lands; the seconds that speak most are marked.`),
    keepButton(file),
    el("div", { class: "columns" },
      el("section", {}, el("h2", {}, "It lands near"), songList(placed.similar, { label: "Neighbours" })),
      el("section", {}, el("h2", {}, "Who would like it"), people(placed.audience))));
  drawWave(wave, placed);
  wave.addEventListener("click", (event) => { audio.currentTime = (event.offsetX / wave.clientWidth) * placed.seconds; audio.play(); });
}

function keepButton(file) {
  const said = el("span", { class: "quiet", role: "status" });
  const button = el("button", { class: "button", type: "button" }, "Add it to the model");
  button.addEventListener("click", async () => {
    button.disabled = true;
    const form = new FormData();
    form.append("files", file);
    try {
      const job = await ask("/api/tracks", { method: "POST", body: form });
      said.textContent = "Waiting …";
      const events = new EventSource(`/api/jobs/${job.job_id}/events`);
      events.onmessage = (event) => {
        const told = JSON.parse(event.data);
        const error = told.error || told.results.map((one) => one.error).find(Boolean);
        said.textContent = error || (told.state === "done" ? "Added. Search finds it now." : `${told.state}: ${told.done} of ${told.total}`);
        if (told.state === "done" || told.state === "failed") events.close();
      };
      events.onerror = () => events.close();
    } catch (problem) { said.textContent = problem.message; button.disabled = false; }
  });
  return el("div", { class: "row" }, button, said);
}

function secondsButton(user, song) {
  const button = el("button", { class: "button", type: "button" }, "Which seconds?");
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Listening …";
    try {
      const heard = await ask(`/api/seconds/${idPath(song.song_id)}?user_id=${encodeURIComponent(user)}`);
      const wave = el("canvas", { class: "wave", role: "img", "aria-label": `Spectrogram of ${song.name}; the seconds that speak most for it are marked.` });
      button.replaceWith(wave);
      drawWave(wave, heard);
    } catch (problem) { button.replaceWith(el("p", { role: "alert" }, problem.message)); }
  });
  return button;
}

function drawSpectrogram(pen, picture, width, height) {
  const { n_bands: rows, n_columns: columns } = picture, levels = atob(picture.data);
  const small = new OffscreenCanvas(columns, rows), inside = small.getContext("2d"), image = inside.createImageData(columns, rows);
  inside.fillStyle = css("--accent");
  inside.fillRect(0, 0, 1, 1);
  const [red, green, blue] = inside.getImageData(0, 0, 1, 1).data;
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
    const at = 4 * ((rows - 1 - row) * columns + column);  // low bands at the bottom
    image.data.set([red, green, blue, levels.charCodeAt(row * columns + column)], at);
  }
  inside.putImageData(image, 0, 0);
  pen.drawImage(small, 0, 0, width, height);
}

function drawWave(canvas, placed) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale; canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const shares = placed.windows.map((one) => one.share);
  const low = Math.min(...shares), high = Math.max(...shares);
  pen.fillStyle = css("--soft");
  for (const one of placed.windows) {
    if (high - low < 1e-9 || (one.share - low) / (high - low) < 0.75) continue;
    pen.fillRect((one.start / placed.seconds) * width, 0, ((one.end - one.start) / placed.seconds) * width, height);
  }
  drawSpectrogram(pen, placed.spectrogram, width, height);
  pen.strokeStyle = css("--ink") || css("--accent");
  pen.lineWidth = 2;
  pen.beginPath();
  for (const one of placed.windows) {
    const at = (((one.start + one.end) / 2) / placed.seconds) * width, share = high - low < 1e-9 ? 0.5 : (one.share - low) / (high - low);
    pen.lineTo(at, height - 6 - share * (height - 12));
  }
  pen.stroke();
}

export function missing(main) {
  main.replaceChildren(el("h1", {}, "No such page"), el("p", { class: "lead" }, el("a", { href: "#/" }, "Back to the songs")));
}

export { Problem };
