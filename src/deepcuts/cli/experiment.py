"""`deepcuts experiment ...`: tables and figures, each by one command, written by the program."""

import json
from pathlib import Path
from typing import Annotated

import typer

from deepcuts.cli.common import Set, Toml, say, settings_of
from deepcuts.errors import InputError
from deepcuts.lab import quality, results
from deepcuts.store import write_file

app = typer.Typer(help="Run a benchmark; write its numbers and the pages that show them.", no_args_is_help=True)

Data = Annotated[Path, typer.Argument(help="The folder of research data.")]
Results = Annotated[Path, typer.Option("-o", "--output", help="Where the numbers go.")]
Work = Annotated[Path, typer.Option("--work", help="Scratch folder; finished parts are kept there.")]


@app.command("lastfm")
def lastfm_command(
    data: Data,
    output: Results = Path("docs/results"),
    work: Work = Path("work/lastfm"),
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """The real benchmark: Last.fm plays × Million Song Dataset analyses, artists nobody has played."""
    from deepcuts.lab import lastfm  # torch takes seconds to load

    content = lastfm.run(data, work, settings_of(lastfm.LastfmBench, toml, assignments, "lastfm"))
    save(content, output / "lastfm.json")
    print(results.rows_text(content["rows"]))


@app.command("artists")
def artists_command(
    data: Data,
    output: Results = Path("docs/results"),
    work: Work = Path("work/artists"),
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """The real benchmark with power: Last.fm artists, thirteen audio statistics of one track each."""
    from deepcuts.lab import artists  # torch takes seconds to load

    content = artists.run(data, work, settings_of(artists.ArtistsBench, toml, assignments, "artists"))
    save(content, output / "artists.json")
    print(results.rows_text(content["rows"]))


@app.command("real-paper")
def real_paper_command(
    data: Data,
    output: Results = Path("docs/results"),
    work: Work = Path("work/lastfm"),
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """The paper's tag prediction, Tables 1 and 4 and the map, with Last.fm's artists."""
    from deepcuts.lab import real_paper
    from deepcuts.lab.real_world import RealPaper

    content, image = real_paper.run(data, work, settings_of(RealPaper, toml, assignments, "real_paper"))
    save(content, output / "real_paper.json")
    write_file(output / real_paper.MAP, image)


@app.command("taste-profile")
def taste_profile_command(
    data: Data, output: Results = Path("docs/results"), toml: Toml = None, assignments: Set = None
) -> None:
    """Real Echo Nest plays: factorised, new songs and new users folded in, evaluated."""
    from deepcuts.lab import taste_profile

    settings = settings_of(taste_profile.TasteProfileBench, toml, assignments, "taste_profile")
    content = taste_profile.run(data, settings)
    save(content, output / "taste_profile.json")
    print(results.rows_text(content["rows"]))


@app.command("choose")
def choose_command(
    plays: Annotated[Path, typer.Argument(help="Plays.")] = Path("demo/world/plays"),
    split: Annotated[Path, typer.Argument(help="Their split.")] = Path("demo/split"),
    features: Annotated[Path, typer.Argument(help="Features of the songs.")] = Path("demo/logmel"),
    output: Results = Path("docs/results"),
) -> None:
    """Compare a few settings on validation songs: how the demonstration's were chosen. `tune` searches for your own."""
    from deepcuts.lab import choose

    save(choose.run(plays, split, features), output / "choose.json")


@app.command("quality")
def quality_command(
    folder: Annotated[Path, typer.Argument(help="The folder of the numbers.")] = Path("docs/results"),
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/quality.md"),
) -> None:
    """Write docs/quality.md and quality.json from artists.json: what helped, what did not, and what each costs."""
    quality.write(folder, page)
    say(f"{page} and {folder / quality.QUALITY} written")


@app.command("planted")
def planted_command(
    demo: Annotated[Path, typer.Argument(help="The folder of `make demo`.")] = Path("demo"),
    file: Annotated[Path, typer.Option("--demo-settings", help="The demonstration's settings.")] = Path(
        "runs/demo.toml"
    ),
    output: Results = Path("docs/results"),
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """The ladder on the planted world: the paper's network, ensembles, mixes, and where ears can still gain."""
    from deepcuts.lab import planted

    content = planted.run(demo, file, settings_of(planted.PlantedBench, toml, assignments, "planted"))
    save(content, output / "planted.json")
    print(results.rows_text(content["rows"]))


@app.command("scale")
def scale_command(
    measured: Annotated[Path, typer.Argument(help="What bench/ray_als.py has measured.")] = Path(
        "docs/results/ray.json"
    ),
    output: Results = Path("docs/results"),
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Simulate a factorisation of a streaming service on a cluster: hours, dollars, and where it bends."""
    from deepcuts.lab import scale

    if not measured.is_file():
        raise InputError(f"{measured}: not there. Run: OMP_NUM_THREADS=2 python bench/ray_als.py -o {measured}")
    content = scale.simulate(settings_of(scale.ScaleBench, toml, assignments, "scale"), results.read(measured))
    save(content, output / "scale.json")
    write_file(output / "scale.md", scale.page(content))
    print(scale.page(content))


@app.command("demo")
def demo_command(
    report: Annotated[Path, typer.Argument(help="The report of `make demo`.")] = Path("demo/report.json"),
    output: Results = Path("docs/results"),
) -> None:
    """Keep the numbers and the picture of `make demo` in the docs."""
    content = json.loads(report.read_text(encoding="utf-8"))
    content["title"] = "The planted world of `make demo`: songs nobody has played"
    save(content, output / "demo.json")
    write_file(output / "demo.png", report.with_suffix(".png").read_bytes())


@app.command("pages")
def pages(
    folder: Annotated[Path, typer.Argument(help="The folder of the numbers.")] = Path("docs/results"),
    page: Annotated[Path, typer.Option(help="The page that shows them all.")] = Path("docs/results.md"),
    readme: Annotated[Path, typer.Option(help="Its block between the results marks is renewed.")] = Path("README.md"),
) -> None:
    """Write docs/results.md, and the README's results, from the numbers alone."""
    results.write_pages(folder, page, readme)
    say(f"{page} and {readme} show what {folder} holds")


def save(content: dict, path: Path) -> None:
    """Numbers as JSON."""
    write_file(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    say(f"{path} written")
