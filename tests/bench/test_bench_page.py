"""The benchmark page says what was measured, shows a miss, and never hides a row."""

import json

import pytest

import page
from sides import row, tell


def a_row(work: str, ours: float, theirs: float, must: float) -> dict:
    made = row(work, [ours] * 5, [theirs] * 5, against="another library 1.0", must=must, floor=ours / 2, note="Equal.")
    return {**vars(made), "bench": "als"}


def written(folder, rows) -> str:
    (folder / "benchmarks.json").write_text(json.dumps(rows))
    (folder / "benchmarks-about.json").write_text(json.dumps({"quick": False}))
    return page.markdown(folder)


def test_a_row_has_the_ratio_of_medians_and_the_spread_of_pairs():
    made = row("a", [1.0, 2.0, 9.0], [4.0, 4.0, 6.0], against="b", must=0.6)
    assert (made.ours, made.theirs, made.ratio) == (2.0, 4.0, 0.5)
    assert (made.low, made.high, made.n) == (0.25, 1.5, 3)
    assert "met" in tell(made)


def test_the_page_counts_what_is_met_and_names_what_is_missed(tmp_path):
    text = written(tmp_path, [a_row("fast work", 1, 4, 0.5), a_row("slow work", 3, 4, 0.5)])
    assert "1 of 2 musts are met" in text
    assert "Missed: slow work, 0.75 for 0.5." in text
    assert "| fast work | 1 s | another library 1.0 | 4 s | **0.25**" in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5, "s", "2.5 s"),
        (0.0123, "s", "12.3 ms"),
        (4.2e-7, "s", "0.42 µs"),
        (0.00075, "s a window", "750 µs a window"),
        (1.0, "CPU s a second of sound", "1 CPU s a second of sound"),
    ],
)
def test_seconds_are_told_in_a_unit_that_reads_well(value, unit, text):
    assert page.cost(value, unit) == text


def test_other_units_stay_as_they_are():
    assert page.cost(3.77, "GB") == "3.77 GB"


def test_the_paper_s_clips_are_reckoned_at_the_slowest_measured_rate(tmp_path):
    rows = [
        a_row(f"MP3 to log-mel, 60 s stereo of {rate} kbit/s", 60 / times, 1, 1)
        for rate, times in ((128, 400), (320, 290))
    ]
    text = written(tmp_path, rows)
    assert (
        "382,410 clips of 29 s, from MP3 to log-mel at 290 × real time per core: **10.6 hours" in text
    )  # n · 29 / 290 / 3600
