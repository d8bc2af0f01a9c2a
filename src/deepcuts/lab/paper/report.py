"""The report of the paper's experiments as a page: ours and the paper's numbers side by side, claims, figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from deepcuts.lab.results import format_interval, table_markdown

Content = Mapping[str, Any]
SHOWN = {
    "mlr": "MLR",
    "linear": "linear regression (least squares)",
    "ridge": "linear regression (ridge)",
    "mlp": "MLP",
    "cnn_mse": "CNN with MSE",
    "cnn_wpe": "CNN with WPE",
    "random": "random",
    "shuffled": "CNN with MSE, shuffled over songs",
    "popularity": "popularity",
    "perfect_encoder": "perfect encoder",
    "bayes_listener": "perfect ears, taste from plays",
    "audio_ceiling": "audio ceiling",
    "fold_in": "upper bound (fold-in)",
    "wmf": "upper bound (joint factors)",
}
MEASURES = {
    "distinct_artists": "distinct artists in a list",
    "same_artist": "lists with the query's artist",
    "same_style": "songs of the query's style",
    "intra_cosine": "mean cosine within a list (observed space)",
    "coverage": "songs that stand in any list",
    "overlap": "overlap of the two lists",
}


def report_text(content: Content, stem: str) -> str:
    """The whole page, in markdown."""
    parts = [head(content), claims_text(content["claims"]), *tables_2_and_3(content, stem), tags_text(content)]
    parts += [table1_text(content), table4_text(content), figure_text(content, stem), differences(content)]
    return "\n".join(parts)


def head(content: Content) -> str:
    """What was run, and what was chosen."""
    world, settings, chosen = content["world"], content["settings"], content["chosen"]
    by = "by artist: no artist stands on both sides" if settings["by"] == "artist" else "by song, as in the paper"
    protocol = (
        "clean: users, words, encoders and metric know nothing of test songs"
        if content["protocol"] == "clean"
        else "JOINT: one factorisation of all plays, as the paper can be read; users have seen the hidden plays, so "
        "the numbers are higher than they could be in use"
    )
    command = f"deepcuts reproduce --scale {content['scale']}"
    command += f" --protocol {content['protocol']}" if content["protocol"] != "clean" else ""
    command += " --set by=song" if settings["by"] == "song" else ""
    roles = world["roles"]
    return f"""# {content["title"]}

Written by `{command}`; not edited by hand.
The paper: van den Oord, Dieleman, Schrauwen, *Deep content-based music recommendation*, 2013.
What each part of it is here: [paper.md](../paper.md).

- World: {world["n_songs"]:,} songs of {world["n_artists"]:,} artists × {world["n_users"]:,} users;
  {world["n_plays"]:,} pairs played ({world["density"]:.2%}), median {world["median_listeners"]:g} listeners a song;
  clips of {settings["seconds"]:g} s.
- Split {by}: {roles["train"]:,} training, {roles["validation"]:,} validation, {roles["test"]:,} test songs.
- Protocol {protocol}.
- Factors: f = {settings["n_factors"]} (Table 3: {settings["n_factors_full"]}), α = 2, ε = 1e-6, 20 sweeps;
  λ = {chosen["regularization"]:g}{_candidates(chosen["regularization_auc"])}.
- Bag of words: {settings["n_words"]:,} words, PCA to {world["bag_components"]:,} components.
- MLR: {settings["mlr_components"]} leading components,
  C = {chosen["mlr_price"]:g}{_candidates(chosen["mlr_price_auc"])};
  {"converged" if chosen["mlr_converged"] else "stopped before it converged"} after {chosen["mlr_rounds"]} rounds.
- Seeds of training: {settings["n_seeds"]} (MLP and CNN; their outcomes are averaged, and so is the interval).
  World, split, factors, words and replicates have one seed, {content["seed"]}.
- Intervals: {settings["level"]:.0%}, {settings["n_bootstrap"]:,} replicates over users and songs
  of one world and one split.
"""


def _candidates(scores: Mapping[str, float]) -> str:
    if not scores:
        return ""
    text = ", ".join(f"{float(value):g}: {auc:.3f}" for value, auc in scores.items())
    return f", chosen by AUC of validation songs ({text})"


def claims_text(claims: Sequence[Content]) -> str:
    """The paper's claims, each with its answer and its tests."""
    lines = ["## The paper's claims\n", "| | claim | here |", "|---|---|---|"]
    lines += [f"| {one['claim']} | {one['text']} | {one['answer']} |" for one in claims]
    lines += ["", "A claim holds when every test has its whole interval above 0. The tests:\n"]
    lines += ["| claim | test | metric | difference | p |", "|---|---|---|---|---|"]
    for one in claims:
        for test in one["tests"]:
            p = "" if test["p"] is None else f"{test['p']:.2g}"
            interval = f"{test['difference']:+.4f} ({test['low']:+.4f} to {test['high']:+.4f})"
            lines.append(f"| {one['claim']} | {test['what']} | {test['metric']} | {interval} | {p} |")
        for what, found in one.get("correlations", {}).items():
            text = f"{found['correlation']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
            lines.append(f"| {one['claim']} | {what} | rank correlation | {text} | |")
    causes = [f"- ({one['claim']}) {one['likely_cause']}" for one in claims if "likely_cause" in one]
    if causes:
        lines += ["", "Where a claim does not plainly hold, the likely cause (not tested here unless said):\n", *causes]
    return "\n".join(lines) + "\n"


def tables_2_and_3(content: Content, stem: str) -> list[str]:
    """Both tables of systems."""
    beside = content["beside"]
    two = [
        systems_text("Table 2: all systems on the subset", content["tables"]["table2"], beside["table2"]),
        seeds_text(beside["table2"]["by_seed"]),
        popularity_text(content["tables"]["table2"]),
        growth_text(beside["table2"]["part_rows"], content["settings"]["small_part"]),
        f"![Table 2]({stem}-table2.png)\n",
    ]
    title = f"Table 3: larger factors (f = {content['settings']['n_factors_full']})"
    return [
        *two,
        systems_text(title, content["tables"]["table3"], beside["table3"]),
        f"![Table 3]({stem}-table3.png)\n",
    ]


def systems_text(title: str, rows: Sequence[Content], beside: Content) -> str:
    """Systems with intervals, the paper's numbers, and ratios of mAP."""
    first = rows[0]
    lines = [
        f"## {title}\n",
        f"{first['n_songs']:,} test songs, {first['n_users']:,} users with hidden plays of them.\n",
    ]
    lines += ["| system | mAP@500 | AUC | paper: mAP | paper: AUC |", "|---|---|---|---|---|"]
    for row in rows:
        published = beside["paper"].get(row["system"])
        paper = f"{published[0]:.5f} | {published[1]:.5f}" if published else " | "
        name = str(SHOWN.get(row["system"], row["system"])) + (" *" if row["cheating"] else "")
        lines.append(f"| {name} | {format_interval(row['map500'], 4)} | {format_interval(row['auc'], 3)} | {paper} |")
    lines += ["", "\\* has seen the hidden plays.\n", "| ratio of mAP | here | paper |", "|---|---|---|"]
    for one in beside["ratios"]:
        above, below = (SHOWN[name] for name in one["ratio"].split(" / "))
        here = f"{one['ours']:.2f} ({one['low']:.2f}–{one['high']:.2f})"
        lines.append(f"| {above} / {below} | {here} | {one['paper']:.2f} |")
    return "\n".join(lines) + "\n"


def seeds_text(by_seed: Mapping[str, Content]) -> str:
    """What each seed gave; nothing where there was one."""
    if not by_seed:
        return ""
    rows = [
        {
            "system": SHOWN[name],
            "mAP@500 by seed": ", ".join(f"{value:.4f}" for value in values["map"]),
            "AUC by seed": ", ".join(f"{value:.4f}" for value in values["auc"]),
        }
        for name, values in by_seed.items()
    ]
    return "Seeds of training:\n\n" + table_markdown(rows)


def popularity_text(rows: Sequence[Content]) -> str:
    """AUC of the two networks by how popular the test songs are: does WPE serve popular songs?"""
    bins = {row["system"]: row["auc_by_popularity"] for row in rows if row["system"] in ("cnn_mse", "cnn_wpe")}
    if len(bins) < 2:
        return ""
    table = [
        {
            "listeners among counted users": f"{mse['listeners_low']}–{mse['listeners_high']}",
            "songs": mse["n_songs"],
            "CNN with MSE": f"{mse['auc']:.3f}",
            "CNN with WPE": f"{wpe['auc']:.3f}",
        }
        for mse, wpe in zip(bins["cnn_mse"], bins["cnn_wpe"], strict=True)
    ]
    return "AUC by popularity of the test songs (first to last quarter; without intervals):\n\n" + table_markdown(table)


def growth_text(rows: Sequence[Content], share: float) -> str:
    """Systems that learned from a part of the songs."""
    lines = [f"Learned from {share:.0%} of the training songs, for as many steps (one seed):\n"]
    lines += ["| system | mAP@500 | AUC |", "|---|---|---|"]
    for row in rows:
        name = SHOWN[row["system"].removesuffix("_part")]
        lines.append(f"| {name} | {format_interval(row['map500'], 4)} | {format_interval(row['auc'], 3)} |")
    return "\n".join(lines) + "\n"


def tags_text(content: Content) -> str:
    """Section 5.1."""
    rows = content["tables"]["tags51"]
    lines = [f"## Section 5.1: {rows[0]['n_tags']} tags, {content['settings']['n_tag_folds']} folds\n"]
    lines += ["| inputs | mean AUC over tags | paper |", "|---|---|---|"]
    lines += [f"| {row['inputs']} | {format_interval(row['auc'], 3)} | {row['paper']:.5f} |" for row in rows]
    return "\n".join([*lines, "", "Interval: over tags and folds.\n"])


def table1_text(content: Content) -> str:
    """Artists at both ends of factors."""
    lines = ["## Table 1: artists at both ends of three factors\n", "| factor | end | artists | tags (z) |"]
    lines.append("|---|---|---|---|")
    for row in content["tables"]["table1"]:
        tags = ", ".join(f"{tag['tag']} ({tag['z']:+.1f})" for tag in row["tags"])
        lines.append(f"| {row['factor']} | {row['end']} | {', '.join(row['artists'])} | {tags} |")
    return "\n".join(lines) + "\n"


def table4_text(content: Content) -> str:
    """Measures of the lists, and some lists."""
    rows, lists = content["tables"]["table4"], content["beside"]["table4"]["lists"]
    lines = ["## Table 4: similar songs, from plays and from sound\n", "| measure | lists | value |", "|---|---|---|"]
    for row in rows:
        known = row["low"] is not None
        value = f"{row['value']:.3f}" + (f" ({row['low']:.3f}–{row['high']:.3f})" if known else "")
        lines.append(f"| {MEASURES.get(row['measure'], row['measure'])} | {row['system']} | {value} |")
    table = [{**one, "query": one["query"] if one["rank"] == 1 else ""} for one in lists]
    return "\n".join([*lines, "", f"Interval: over {rows[0]['n']:,} queries, the test songs.\n", table_markdown(table)])


def figure_text(content: Content, stem: str) -> str:
    """The map, and how well it holds."""
    caption = "Figure 1: usage patterns predicted from sound, in two dimensions (t-SNE)"
    lines = [f"## {caption}\n", f"![{caption}]({stem}-figure1.png)\n", "| share (without an interval) | |", "|---|---|"]
    lines += [f"| {row['measure']} | {row['value']:.3f} |" for row in content["tables"]["figure1"]]
    return "\n".join(lines) + "\n"


def differences(content: Content) -> str:
    """What is not as in the paper."""
    n_songs, settings = content["tables"]["table2"][0]["n_songs"], content["settings"]
    return f"""## What is not as in the paper

- The world is planted: toy music, users with known tastes, popularity that no sound tells. It shows which orderings
  follow from the paper's own reasoning; absolute numbers belong to this world.
- Candidates are the test songs, {n_songs:,} of them, as in the paper; where they are fewer than the paper's 1,881
  (46,728), chance gives a higher mAP.
- Table 3 has the same songs with larger factors, not forty times as many songs.
- The upper bound sees the very plays it is scored on; content rows do not. The two are not on an equal footing, here
  or in the paper.
- Of the bag of words MLR hears the {settings["mlr_components"]} leading components, section 5.1 the
  {settings["tag_components"]} leading ones; the paper does not say that it left any out.
"""


def short_text(content: Content) -> str:
    """For the terminal: claims with their answers."""
    return "\n".join(f"({one['claim']}) {one['text']}\n    {one['answer']}" for one in content["claims"])
