"""The picture and the page of a map."""

import json
import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import sparse

from deepcuts.artifacts import Tags, Vocabulary
from deepcuts.errors import InputError
from deepcuts.explore import label_songs, popular_styles, style_colours
from deepcuts.explore.page import GRID, map_page
from deepcuts.explore.picture import artists_inside, choose_close_ups, draw_map, drawable, place_names

SONGS = Vocabulary(list("abcde"))


def tags(weights: list[list[float]], names: list[str]) -> Tags:
    return Tags(SONGS, Vocabulary(names, "tag"), sparse.csr_array(np.array(weights, dtype=np.float32)))


@pytest.fixture(scope="module")
def four() -> tuple[np.ndarray, np.ndarray]:
    """Four groups of songs at the corners, and songs of no style between them."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [0, 30], [30, 0], [30, 30]])
    labels = np.concatenate([np.repeat(np.arange(4), [60, 50, 40, 30]), np.full(60, -1)])
    at = np.where(labels[:, None] >= 0, corners[labels], 15)
    return at + rng.normal(size=(240, 2)) * np.where(labels >= 0, 1.5, 9)[:, None], labels


def test_the_heaviest_style_labels_a_song_and_the_rarer_of_equals() -> None:
    told = tags([[5, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 7], [0, 0, 0]], ["rock", "pop", "noise"])
    # rock has 3 songs, pop 2: song b, equal in both, is pop
    assert label_songs(SONGS, told, ["rock", "pop"]).tolist() == [0, 1, 0, -1, -1]
    assert label_songs(SONGS, told, ["pop", "noise", "rock"]).tolist() == [2, 0, 2, 1, -1]
    assert popular_styles(SONGS, told, 2) == ["rock", "pop"]
    with pytest.raises(InputError, match="Did you mean 'noise'"):
        label_songs(SONGS, told, ["nois"])
    with pytest.raises(InputError, match="stands twice"):
        label_songs(SONGS, told, ["rock", "rock"])
    with pytest.raises(InputError, match="4 styles were asked for"):
        popular_styles(SONGS, told, 4)


def test_styles_of_the_paper_keep_its_colours_and_all_colours_differ() -> None:
    red, green, yellow, blue, other = style_colours(["Hip-Hop", "rock", "pop", "electronic", "folk"])
    channels = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (red, green, blue)]
    assert [int(np.argmax(rgb)) for rgb in channels] == [0, 1, 2]
    r, g, b = (int(yellow[at : at + 2], 16) for at in (1, 3, 5))
    assert min(r, g) > 2 * b
    assert len({red, green, yellow, blue, other}) == 5
    names = [f"style {number}" for number in range(10)]
    assert len(set(style_colours(names))) == 10
    with pytest.raises(InputError, match="Name fewer"):
        style_colours([*names, "one more"])


def test_close_ups_lie_where_one_style_is_at_home_and_do_not_overlap(four: tuple[np.ndarray, np.ndarray]) -> None:
    xy, labels = four
    chosen = choose_close_ups(xy, labels, 4)
    assert [one.style for one in chosen] == [0, 1, 2, 3]
    for one in chosen:
        assert (labels[one.holds(xy)] == one.style).mean() > 0.8
    for one, two in combinations(chosen, 2):
        assert abs(one.x - two.x) >= one.wide + two.wide or abs(one.y - two.y) >= one.high + two.high


def test_one_style_gets_several_close_ups_and_no_style_none(four: tuple[np.ndarray, np.ndarray]) -> None:
    xy, labels = four
    assert len(choose_close_ups(xy, np.where(labels >= 0, 0, -1), 1)) == 4
    assert choose_close_ups(xy, np.full(240, -1), 0) == []


def test_artists_are_named_once_the_weightiest_first() -> None:
    xy = np.arange(10.0).reshape(5, 2)
    artists = ["Lu", "Mo", "Lu", None, "Rio"]
    weight = np.array([1, 3, 4, 9, 9])
    seen = np.array([True, True, True, True, False])
    assert artists_inside(seen, xy, artists, weight) == [("Lu", (4.0, 5.0)), ("Mo", (2.0, 3.0))]
    assert artists_inside(seen, xy, artists, None)[0][0] == "Lu"  # two songs


def test_names_stand_inside_and_never_on_one_another() -> None:
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(4, 3))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    names = [(f"The Long Name {number}", (float(x), float(y))) for number, (x, y) in enumerate(rng.random((60, 2)))]
    place_names(axes, names, [])
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 5 < len(boxes) <= 20
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
    for box in boxes:
        assert axes.bbox.x0 <= box.x0
        assert box.x1 <= axes.bbox.x1


def test_names_the_font_cannot_write_are_not_shown_as_boxes() -> None:
    assert drawable("Sigur Rós & Björk $5")
    assert not drawable("椎名林檎")


def test_the_picture_is_a_png_with_every_colour_in_it(four: tuple[np.ndarray, np.ndarray], tmp_path) -> None:
    xy, labels = four
    styles = ["rock", "pop", "hip-hop", "electronic"]
    artists = [None if song % 9 == 0 else ["Cash $$", "椎名林檎", f"Artist {song}"][song % 3] for song in range(240)]
    png = draw_map(xy, labels, styles, artists, caption="two\nlines", dpi=60)
    (tmp_path / "map.png").write_bytes(png)
    pixels = image.imread(tmp_path / "map.png")[:, :, :3]
    assert pixels.shape[:2] == (474, 840)
    for colour in style_colours(styles):
        rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        assert (np.abs(pixels - rgb).max(axis=2) < 0.15).any()
    assert png == draw_map(xy, labels, styles, artists, caption="two\nlines", dpi=60)


def test_a_picture_without_styles_is_drawn_too(four: tuple[np.ndarray, np.ndarray]) -> None:
    assert draw_map(four[0], np.full(240, -1), [], [None] * 240, dpi=40).startswith(b"\x89PNG")


def test_wrong_columns_are_refused(four: tuple[np.ndarray, np.ndarray]) -> None:
    xy, labels = four
    with pytest.raises(InputError, match="expected -1 to 1"):
        draw_map(xy, labels, ["rock", "pop"], [None] * 240)
    with pytest.raises(InputError, match="artists has shape"):
        draw_map(xy, labels, list("abcd"), [None] * 3)
    with pytest.raises(InputError, match="titles: 2, expected 240"):
        map_page(xy, labels, list("abcd"), [None] * 240, ["one", "two"])


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_every_song_the_weightiest_first() -> None:
    xy = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    page = map_page(xy, np.array([0, -1, 0]), ["rock"], ["Lu", "Mo", "Lu"], ["One", "Mo", None], weight=[1, 3, 2])
    told = data_of(page)
    assert [told["artists"][artist] for artist in told["a"]] == ["Mo", "Lu", "Lu"]
    assert told["t"] == ["", "", "One"]  # a title that is the artist's name is not said twice
    assert told["x"] == [GRID, round(GRID / 2), 0]
    assert told["y"] == [round(GRID / 2), GRID, 0]
    assert told["s"] == [-1, 0, 0]
    assert told["styles"] == [{"name": "rock", "colour": style_colours(["rock"])[0], "n": 2}]
    assert told["none"]["n"] == 1


def test_the_page_needs_nothing_from_elsewhere(four: tuple[np.ndarray, np.ndarray]) -> None:
    page = map_page(*four, list("abcd"), ["A"] * 240)
    assert not re.search(r"""(?:src|href)\s*=|https?://|@import|url\(""", page)


def test_no_name_can_break_out_of_the_page() -> None:
    bad = "</script><script>alert(1)</script>{{TITLE}}\u2028"
    page = map_page(np.eye(2), np.zeros(2, int), ["a & b"], [bad, "B"], title="<b>{{DATA}}</b>", caption="x < y")
    assert page.count("<script") == 2
    assert "alert(1)</script>" not in page
    assert data_of(page)["artists"][0] == bad
    assert "&lt;b&gt;{{DATA}}&lt;/b&gt;" in page
