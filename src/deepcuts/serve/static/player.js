// The platform's own player: one song at a time, the next of its list when it ends.

import { idPath } from "/static/api.js";

const audio = () => document.getElementById("audio");
let list = [];
let current = null;

export const playingId = () => current;

export function play(song, songs = [song]) {
  list = songs.filter((one) => one.has_file !== false);
  current = song.song_id;
  const player = document.getElementById("player");
  player.hidden = false;
  document.getElementById("now-name").textContent = song.name;
  document.getElementById("now-artist").textContent = song.artist || "";
  audio().src = `/api/stream/${idPath(song.song_id)}`;
  audio().play().catch(() => {});
  mark();
}

export function mark() {
  for (const row of document.querySelectorAll("ol.songs > li")) {
    row.classList.toggle("playing", row.dataset.id === current);
  }
}

export function start(onError) {
  audio().addEventListener("ended", () => {
    const at = list.findIndex((one) => one.song_id === current);
    if (at >= 0 && at + 1 < list.length) play(list[at + 1], list);
  });
  audio().addEventListener("error", () => {
    if (audio().src) onError(new Error("This song cannot be played: its file is gone, or the browser does not know its form."));
  });
}
