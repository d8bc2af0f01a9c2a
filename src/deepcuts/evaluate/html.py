"""The page of an evaluation: one self-contained file that explains every row and column."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root{--ink:#22262e;--soft:#5b616d;--faint:#8a909c;--line:#e4e7ec;--page:#fbfbfa;--card:#fff;
  --content:#0f7b8a;--control:#8a909c;--ceiling:#c2562d}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
  font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1080px;margin:0 auto;padding:2.6rem 1.4rem 4rem}
h1{font-size:2rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.02em}
h2{font-size:1.15rem;margin:2.6rem 0 .7rem}
p{max-width:72ch}
.lead{color:var(--soft);margin:0 0 1.4rem}
.facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:0 0 1.6rem;padding:0;list-style:none}
.facts li{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem;
  font-size:.85rem;color:var(--soft)}
.facts b{display:block;font-size:1.2rem;color:var(--ink);font-variant-numeric:tabular-nums}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow-x:auto}
.card img{display:block;width:100%;height:auto;padding:.6rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.55rem .8rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:middle}
tr:last-child td{border-bottom:0}
th{font-weight:600;color:var(--soft);font-size:.78rem;white-space:nowrap}
td.n{font-variant-numeric:tabular-nums;white-space:nowrap}
td small{color:var(--faint);display:block;line-height:1.4}
.dot{display:inline-block;width:.62rem;height:.62rem;border-radius:50%;margin-right:.5rem;
  background:currentColor}
.content{color:var(--content)}
.control{color:var(--control)}
.ceiling{color:var(--ceiling)}
.ceiling.dot{border-radius:1px;transform:rotate(45deg)}
.badge{font-size:.7rem;border:1px solid var(--ceiling);color:var(--ceiling);border-radius:99px;
  padding:.05rem .5rem;margin-left:.5rem;white-space:nowrap;display:inline-block}
dt{font-weight:600;margin-top:.8rem}
dd{margin:0;color:var(--soft);max-width:76ch}
svg{display:block}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem;
  font-size:.8rem;overflow-x:auto}
.ok::before{content:"✓ ";color:#2c8a4b}
ul.checks{padding-left:0;list-style:none;color:var(--soft);font-size:.9rem}
"""

# Measures of lists (`evaluate.lists`) and what they mean.
LISTS = {
    "coverage": "The share of the candidates that stand in anybody's list.",
    "hubness": "The skewness of how often each candidate is listed: 0 where all are listed alike, large where few "
    "songs fill everybody's lists.",
    "popularity_lift": "Mean listeners of a listed song over mean listeners of a candidate: 1 favours nobody.",
    "variety": "One less the mean cosine between two songs of a list, in the usage patterns of the hidden plays.",
    "artists": "Different artists in a list, divided by its length.",
}


def page(content: Mapping[str, Any], image: bytes) -> str:
    """The HTML of a report.

    Args:
        content: what report.json holds.
        image: the PNG of the same report.
    """
    picture = base64.b64encode(image).decode()
    body = [
        f"<h1>{escape(content['title'])}</h1>",
        f"<p class=lead>{_lead(content)}</p>",
        _facts(content),
        f'<div class=card><img alt="{escape(_alt(content))}" src="data:image/png;base64,{picture}"></div>',
        "<h2>Systems, best first</h2>",
        _systems(content),
        _compared(content),
        _by_popularity(content),
        _by_group(content, "by_plays", "AUC by how many listeners a song has", "listeners"),
        _by_group(content, "by_artist", "AUC by whether the song's artist was learned from", "artist"),
        _lists(content),
        "<h2>What the words mean</h2>",
        _words(content),
        "<h2>Leakage audit</h2>",
        _audit(content),
        "<h2>Settings</h2>",
        _settings(content),
    ]
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(content['title'])} · deepcuts</title><style>{STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(part for part in body if part)}\n</main></body></html>\n"
    )


def number(value: float | None, digits: int = 4) -> str:
    """A number, or a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def p_text(p: float, n_bootstrap: int) -> str:
    """A p, or `≤` the least that so many replicates can tell."""
    least = 2 / (n_bootstrap + 1)
    return f"≤ {least:.2g}" if p <= least * 1.001 else f"{p:.2g}"


def _title(key: str) -> str:
    return {"auc": "AUC"}.get(key, key.replace("map", "mAP@"))


def _alt(content: Mapping[str, Any]) -> str:
    best = content["rows"][0]
    return f"{len(content['rows'])} systems with mAP and AUC; {best['system']} has the highest mAP."


def _lead(content: Mapping[str, Any]) -> str:
    return (
        f"How well {len(content['rows'])} systems put the songs a user really played before all others, "
        f"among {content['n_songs']:,} songs kept hidden while learning."
    )


def _facts(content: Mapping[str, Any]) -> str:
    facts = [
        (f"{content['n_users']:,}", "users counted"),
        (f"{content['n_songs']:,}", "test songs"),
        (content["protocol"], "protocol"),
        (f"{content['settings']['level']:.0%}", "intervals, over users and songs"),
        (str(content["seed"]), "seed"),
    ]
    facts += [(f"{n:,}", f"users with {why}" if why.startswith("no ") else f"users who {why}")
              for why, n in content["users_left_out"].items() if n]  # fmt: skip
    return "<ul class=facts>" + "".join(f"<li><b>{escape(a)}</b>{escape(b)}</li>" for a, b in facts) + "</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(row) + "</tr>" for row in rows)
    return f"<div class=card><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"


def _systems(content: Mapping[str, Any]) -> str:
    key, short = content["map_key"], content["settings"]["short_at"]
    spans = {name: _span(content, name) for name in (key, "auc")}
    rows = []
    for row in content["rows"]:
        badge = "<span class=badge>has seen hidden plays</span>" if row["cheating"] else ""
        note = f"<small>{escape(row['note'])}</small>" if row["note"] else ""
        name = f'<td><span class="{row["kind"]} dot"></span>{escape(row["system"])}{badge}{note}</td>'
        cells = [name]
        for metric, digits in ((key, 4), ("auc", 3)):
            value = row[metric]
            interval = f"{number(value['low'], digits)} to {number(value['high'], digits)}"
            bar = _bar(value, spans[metric], row["kind"])
            cells.append(f"<td class=n><b>{number(value['mean'], digits)}</b>{bar}<small>{interval}</small></td>")
        cells += [f"<td class=n>{number(row[f'{one}{short}'], 3)}</td>" for one in ("recall", "ndcg")]
        cells.append(f"<td class=n>{row['tied']:.1%}</td>")
        rows.append(cells)
    return _table(["system", _title(key), "AUC", f"recall@{short}", f"NDCG@{short}", "tied"], rows)


def _span(content: Mapping[str, Any], key: str) -> tuple[float, float]:
    ends = [v for row in content["rows"] for v in row[key].values() if v is not None] + [content["chance"][key]]
    return min(ends), max(max(ends), min(ends) + 1e-9)


def _bar(value: Mapping[str, float | None], span: tuple[float, float], kind: str) -> str:
    """A small picture of a mean and its interval."""
    if value["mean"] is None or value["low"] is None or value["high"] is None:
        return ""
    low, mid, high = (
        6 + 108 * (v - span[0]) / (span[1] - span[0]) for v in (value["low"], value["mean"], value["high"])
    )
    return (
        f'<svg class="{kind}" width=120 height=14 aria-hidden=true>'
        f"<line x1={low:.1f} x2={high:.1f} y1=7 y2=7 stroke=currentColor stroke-width=4 stroke-opacity=.35 "
        f"stroke-linecap=round /><circle cx={mid:.1f} cy=7 r=4 fill=currentColor /></svg>"
    )


def _compared(content: Mapping[str, Any]) -> str:
    if not content["comparisons"]:
        return ""
    rows = []
    for one in content["comparisons"]:
        digits = 3 if one["metric"] == "auc" else 4
        interval = f"{one['low']:+.{digits}f} to {one['high']:+.{digits}f}" if one["low"] is not None else "–"
        difference = "–" if one["difference"] is None else f"{one['difference']:+.{digits}f}"
        cells = [f"{escape(one['a'])} − {escape(one['b'])}", _title(one["metric"]), f"<b>{difference}</b>", interval]
        cells.append(p_text(one["p"], content["settings"]["n_bootstrap"]))
        rows.append([f"<td class=n>{cell}</td>" for cell in cells])
    intro = (
        "<p>Both systems are scored on the same drawn users and songs each time, so a difference can be certain "
        "although the intervals of the two rows overlap.</p>"
    )
    level = f"{content['settings']['level']:.0%} interval"
    return "<h2>Compared pairwise</h2>" + intro + _table(["pair", "metric", "difference", level, "p"], rows)


def _by_popularity(content: Mapping[str, Any]) -> str:
    bins: list[dict[str, Any]] = next(
        (row["auc_by_popularity"] for row in content["rows"] if row["auc_by_popularity"]), []
    )
    if not bins:
        return ""
    head = ["system"]
    for one in bins:
        low, high = one["listeners_low"], one["listeners_high"]
        range_text = f"{low}" if low == high else f"{low} to {high}"
        head.append(f"{range_text} listeners<br>{one['n_songs']} songs")
    rows = []
    for row in content["rows"]:
        cells = [f"<td>{escape(row['system'])}</td>"]
        rows.append(cells + [f"<td class=n>{number(one['auc'], 3)}</td>" for one in row["auc_by_popularity"]])
    intro = "<p>AUC of test songs grouped by how many of the counted users played them, rare songs on the left.</p>"
    return "<h2>AUC by popularity of the song</h2>" + intro + _table(head, rows)


def _by_group(content: Mapping[str, Any], key: str, title: str, noun: str) -> str:
    """AUC of every system for groups of songs; nothing where the report does not have them."""
    groups: list[dict[str, Any]] = next((row[key] for row in content["rows"] if row.get(key)), [])
    if not groups:
        return ""
    head = ["system", *(f"{escape(one['group'])} {noun}<br>{one['n_songs']:,} songs" for one in groups)]
    rows = [[f"<td>{escape(row['system'])}</td>", *(f"<td class=n>{number(one['auc'], 3)}</td>" for one in row[key])]
            for row in content["rows"] if row.get(key)]  # fmt: skip
    return f"<h2>{escape(title)}</h2>" + _table(head, rows)


def _lists(content: Mapping[str, Any]) -> str:
    """What the lists of every system look like; nothing where the report does not tell."""
    told = [row for row in content["rows"] if row.get("lists")]
    if not told:
        return ""
    names = [name for name in LISTS if name in told[0]["lists"]]
    rows = [[f"<td>{escape(row['system'])}</td>", *(f"<td class=n>{number(row['lists'].get(name), 3)}</td>"
                                                   for name in names)] for row in told]  # fmt: skip
    meanings = "".join(f"<dt>{name.replace('_', ' ')}</dt><dd>{LISTS[name]}</dd>" for name in names)
    title = f"<h2>The lists: the first {told[0]['lists']['k']:.0f} songs for every user</h2>"
    return title + _table(["system", *(name.replace("_", " ") for name in names)], rows) + f"<dl>{meanings}</dl>"


def _words(content: Mapping[str, Any]) -> str:
    at, short = content["settings"]["at"], content["settings"]["short_at"]
    n_bootstrap, n_interval = content["settings"]["n_bootstrap"], content["n_bootstrap_users"]
    protocol = {
        "clean": "Clean protocol: nothing that was learned has seen a play of a test song, except rows marked so.",
        "joint": "Joint protocol: the factorisation saw plays of test songs, which lifts every row. "
        "These numbers must not be compared with clean ones.",
    }[content["protocol"]]
    words = {
        f"mAP@{at}": "For each user all test songs are ranked. At every played song among the first "
        f"{at} one notes which share of the list so far was played; the average, over the smaller of {at} and the "
        "number of songs the user played, is the user's AP. The column is its mean over users. Chance gives "
        f"{number(content['chance'][content['map_key']])} here.",
        "AUC": "The chance that a song the user played stands before one the user did not. 0.5 is chance, 1 perfect. "
        "Users who played every test song have none.",
        f"recall@{short}, NDCG@{short}": f"The share of a user's played test songs among the first {short}, and the "
        "same with early places counting more. Users without a hit count as 0.",
        "tied": "The share of played test songs whose score another song shares. Among equal scores a fixed random "
        "order decides, never the order of the file.",
        "interval": f"Users and songs were drawn anew {n_bootstrap} times, both with replacement, and everything was "
        f"computed again ({n_interval:,} users). Songs matter most: other songs would give other numbers.",
        "p": f"How often chance alone would show a difference so large, on both sides; {n_bootstrap} draws cannot tell "
        f"less than {2 / (n_bootstrap + 1):.2g}.",
        "content": "Rows that place a song by its sound alone. These could recommend a song nobody has played.",
        "control": "Rows that know nothing of the sound. Random and shuffled must be beaten; popularity has seen the "
        "answer.",
        "ceiling": "Rows that mark what is reachable. fold_in is an upper bound of these factors for songs with enough "
        "plays; the others know what no recording can tell.",
        "has seen hidden plays": "The row was made with the plays it is tested on. It is a measure, not a competitor.",
        "protocol": protocol,
    }
    return "<dl>" + "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in words.items()) + "</dl>"


def _audit(content: Mapping[str, Any]) -> str:
    checks = content["audit"]["checks"]
    if not checks:
        return "<p>No audit was made for this report, so nothing is proven about leakage.</p>"
    return "<ul class=checks>" + "".join(f"<li class=ok>{escape(one)}</li>" for one in checks) + "</ul>"


def _settings(content: Mapping[str, Any]) -> str:
    lines = [f"{name} = {value}" for part in ("about", "settings") for name, value in content[part].items()]
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
