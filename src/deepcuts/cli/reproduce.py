"""`deepcuts reproduce`: the paper's tables and figures, by one command."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from deepcuts.checks import did_you_mean
from deepcuts.cli.common import Json, Set, print_json, say
from deepcuts.config import coerce
from deepcuts.errors import SettingError


def reproduce(
    scale: Annotated[str, typer.Option("--scale", help="tiny, small (half an hour on 2 cores) or paper.")] = "small",
    work: Annotated[
        Path | None, typer.Option("--work", help="Finished parts are kept here; work/paper-SCALE by default.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the report goes.")] = Path("docs/results"),
    protocol: Annotated[
        str, typer.Option("--protocol", help="clean, or joint: factors from all plays, as the paper can be read.")
    ] = "clean",
    only: Annotated[
        str | None,
        typer.Option("--only", help="Make and print one part: world, table1 to table4, tags51, figure1; no report."),
    ] = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Every table and figure of the paper on a planted world, beside the paper's own numbers.

    A run that was killed goes on where it was when the same command runs again.
    """
    from deepcuts.lab.paper.report import short_text  # torch takes seconds to load
    from deepcuts.lab.paper.reproduce import one_part, report_stem
    from deepcuts.lab.paper.reproduce import reproduce as run
    from deepcuts.lab.paper.settings import SCALES

    if scale not in SCALES:
        raise SettingError(f"--scale {scale!r}: unknown.{did_you_mean(scale, SCALES)}")
    settings = changed(SCALES[scale], [f"protocol={protocol}", *(assignments or ())])
    work = work or Path("work") / f"paper-{scale}"
    if only is not None:
        print_json(one_part(settings, only, work))
        return
    content = run(settings, scale, work, output)
    if as_json:
        print_json(content)
    else:
        print(short_text(content))
    say(f"{output / report_stem(settings, scale)}.md, .json and figures")


def changed(preset: Any, assignments: list[str]) -> Any:
    """A preset with `name=value` changes.

    Raises:
        SettingError: unknown name ("Did you mean"), wrong type or out of range.
    """
    values = {field.name: getattr(preset, field.name) for field in fields(preset)}
    for text in assignments:
        key, found, value = text.partition("=")
        if not found:
            raise SettingError(f"--set {text!r}: expected name=value, for example --set seed=1.")
        values[key.strip()] = coerce(type(preset), key.strip(), value.strip(), where=f"--set {key.strip()}")
    return type(preset)(**values)
