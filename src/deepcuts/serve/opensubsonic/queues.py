"""Play queues: what one player was about to play, kept for the next."""

import time
from typing import Any

from deepcuts.serve.eventlog import Queue
from deepcuts.serve.opensubsonic.call import Call, stamp, without_none
from deepcuts.serve.opensubsonic.entries import child
from deepcuts.serve.opensubsonic.envelope import MISSING, Refused

Content = dict[str, Any]
LONGEST_MS = 10**12


def _saved(call: Call, ids: list[str], current: int) -> Content:
    for one in ids:
        call.song_of(one)
    position = call.number("position", 0, high=LONGEST_MS)
    call.state.log.save_queue(Queue(call.user, tuple(ids), current, position, int(time.time()), call.text("c", "")))
    return {}


def save_play_queue(call: Call) -> Content:
    """Keep a queue; `current` is the id of the song that plays."""
    ids, current = call.texts("id"), call.text("current", "")
    if current and current not in ids:
        raise Refused(MISSING, f"Parameter 'current' = {current[:50]!r} is not in the queue.")
    return _saved(call, ids, ids.index(current) if current else 0)


def save_play_queue_by_index(call: Call) -> Content:
    """Keep a queue; `currentIndex` is the place of the song that plays, from 0."""
    ids = call.texts("id")
    current = call.number("currentIndex", 0, high=10**9)
    if ids and current >= len(ids):
        raise Refused(MISSING, f"Parameter 'currentIndex' = {current} is not a place in a queue of {len(ids)}.")
    return _saved(call, ids, current)


def _kept(call: Call) -> tuple[Queue, list[str], int]:
    """The queue, those of its songs that the model still knows, and the place of the one that plays."""
    queue = call.state.log.queue(call.user) or Queue(call.user, (), changed=int(call.state.started))
    known = [(at, one) for at, one in enumerate(queue.songs) if one in call.catalogue.by_id]
    current = sum(at < queue.current for at, _ in known)
    return queue, [one for _, one in known], min(current, max(len(known) - 1, 0))


def _shown(call: Call, queue: Queue, ids: list[str]) -> Content:
    return {
        "username": call.user,
        "position": queue.position,
        "changed": stamp(queue.changed),
        "changedBy": queue.player,
        "entry": [child(call, call.catalogue.by_id[one]) for one in ids],
    }


def get_play_queue(call: Call) -> Content:
    """The queue that was kept last."""
    queue, ids, current = _kept(call)
    return {"playQueue": without_none({**_shown(call, queue, ids), "current": ids[current] if ids else None})}


def get_play_queue_by_index(call: Call) -> Content:
    """The queue that was kept last, its playing song by place."""
    queue, ids, current = _kept(call)
    shown = {**_shown(call, queue, ids), "currentIndex": current if ids else None}
    return {"playQueueByIndex": without_none(shown)}
