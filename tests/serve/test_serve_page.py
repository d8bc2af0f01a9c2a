"""The page, used in real headless Chromium as a person uses it."""

import os
import shutil
import time

import pytest
from playwright.sync_api import sync_playwright
from served_model import N_SONGS, tone

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without a browser these tests are left out, but never in CI, which installs one.
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium: apt install chromium"
)
ARGUMENTS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-sandbox",
             "--autoplay-policy=no-user-gesture-required", "--mute-audio"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        held = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield held
        held.close()


@pytest.fixture
def page(browser, running):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    held = context.new_page()
    held.said = []
    held.on("console", lambda message: held.said.append(message.text) if message.type == "error" else None)
    held.on("pageerror", lambda error: held.said.append(str(error)))
    held.goto(running.url)
    held.wait_for_selector("ol.songs > li")
    yield held
    context.close()


def until(page, expression: str, seconds: float = 15.0) -> None:
    """Wait until an expression of the page is true; the page's own rules forbid the library's way of waiting."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def test_search_finds_and_a_song_plays(page):
    page.keyboard.press("/")
    page.keyboard.type("song 21")
    until(page, "document.querySelectorAll('ol.songs > li').length === 1")
    page.click("ol.songs .play")
    until(page, "document.getElementById('audio').currentTime > 0.2")
    assert page.inner_text("#now-name") == "Song 21"
    assert page.said == []


def test_a_song_shows_what_is_like_it_and_who_would_like_it(page):
    page.click("text=Song 3 >> nth=0")
    page.wait_for_selector("text=Songs like it")
    assert "Band 0" in page.inner_text("ol.songs > li >> nth=0")
    assert page.locator("ul.people > li").count() > 0


def test_a_listener_gets_songs_with_reasons(page):
    page.click("nav >> text=Listeners")
    page.click("text=user0 >> nth=0")
    page.wait_for_selector("summary")
    page.click("summary >> nth=0")
    page.wait_for_selector("text=It leans on")
    page.select_option("select", "cold")
    until(page, "document.querySelectorAll('ol.songs')[0].children.length <= 4")
    assert page.said == []


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_a_dropped_file_lands_among_its_kind(page, tmp_path, suffix):
    path = tone(tmp_path / f"dropped.{suffix}", 1, 99, 14.0)
    page.click("nav >> text=New track")
    page.set_input_files("#file", str(path))
    page.wait_for_selector("text=It lands near", timeout=60_000)
    assert "Band 1" in page.inner_text("ol.songs > li >> nth=0")
    assert "Band 1" in page.inner_text("ul.people > li >> nth=0")
    painted = page.evaluate(
        "(() => { const c = document.querySelector('canvas.wave'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return d.some((v) => v > 0); })()"
    )
    assert painted


def test_a_recommendation_shows_which_seconds_speak_for_it(page):
    page.click("nav >> text=Listeners")
    page.click("text=user0")
    page.click("ol.songs >> nth=0 >> summary >> nth=0")
    page.click("text=Which seconds?", timeout=60_000)
    page.wait_for_selector("details canvas.wave", timeout=120_000)
    painted = page.evaluate(
        "(() => { const c = document.querySelector('details canvas.wave'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return d.filter((v) => v > 0).length > d.length / 20; })()"
    )
    assert painted


def test_a_file_that_is_no_sound_is_told(page, tmp_path):
    (tmp_path / "bad.mp3").write_bytes(b"this is no sound")
    page.click("nav >> text=New track")
    page.set_input_files("#file", str(tmp_path / "bad.mp3"))
    page.wait_for_selector("text=bad.mp3", timeout=60_000)
    page.wait_for_selector("main [role=alert]", timeout=60_000)


def test_the_map_is_drawn_and_answers_to_hover_click_and_lasso(page):
    page.click("nav >> text=Map")
    page.wait_for_selector(f"#map-box[data-drawn='{N_SONGS}']")
    coloured = page.evaluate(
        "(() => { const gl = document.querySelector('#map-box canvas').getContext('webgl');"
        " const w = gl.drawingBufferWidth, h = gl.drawingBufferHeight;"
        " const d = new Uint8Array(4 * w * h); gl.readPixels(0, 0, w, h, gl.RGBA,"
        " gl.UNSIGNED_BYTE, d); let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })()"
    )
    assert coloured > 100
    x, y = page.evaluate(
        "(() => { const b = document.getElementById('map-box'), r = b.getBoundingClientRect(),"
        " [x, y] = b.screenOf(0); return [r.left + x, r.top + y]; })()"
    )
    page.mouse.move(x, y)
    page.wait_for_selector("#map-tip:not([hidden])")
    assert "plays" in page.inner_text("#map-tip")
    page.mouse.click(x, y)
    page.wait_for_selector("text=nearest:")
    page.click("text=Lasso")
    box = page.locator("#map-above").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    page.mouse.move(box["x"] + corners[0][0] * box["width"], box["y"] + corners[0][1] * box["height"])
    page.mouse.down()
    for right, down in corners[1:]:
        page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_selector("text=songs on the map")
    assert page.locator("ol.songs > li").count() >= N_SONGS - 2
    assert page.said == []


def test_names_are_never_taken_for_markup(page):
    page.fill("#query", "onerror")
    until(page, "document.querySelectorAll('ol.songs > li').length === 1")
    page.click("ol.songs .name a")
    page.wait_for_selector("text=Songs like it")
    assert page.evaluate("window.hacked") is None
    assert "<img" in page.inner_text("h1")


def test_dark_mode_is_dark_and_a_small_screen_holds_everything(browser, running):
    context = browser.new_context(viewport={"width": 390, "height": 780}, color_scheme="dark")
    page = context.new_page()
    page.goto(running.url)
    page.wait_for_selector("ol.songs > li")
    shade = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert sum(int(one) for one in shade[4:-1].split(",")) < 120
    for view in ("#/", "#/song/s%2F0", "#/listener/user0", "#/map", "#/new"):
        page.goto(running.url + "/" + view)
        page.wait_for_selector("h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
    context.close()


def test_a_server_that_is_gone_is_told_in_words(page, running):
    running.stop()
    page.click("nav >> text=Listeners")
    page.wait_for_selector("text=The server does not answer")


def test_everything_has_a_label_for_screen_readers(page):
    for view in ("#/", "#/song/s%2F0", "#/listener/user0", "#/listeners", "#/map", "#/new"):
        page.evaluate(f"location.hash = {view!r}")
        page.wait_for_timeout(400)
        nameless = page.evaluate(
            "[...document.querySelectorAll('button, a, input, select, canvas, audio, img')].filter((e) =>"
            " !(e.innerText || '').trim() && !e.getAttribute('aria-label') && !e.getAttribute('aria-hidden')"
            " && !(e.labels && e.labels.length) && e.getAttribute('alt') === null)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert nameless == [], view


def test_a_job_tells_its_progress_and_the_song_is_found_afterwards(browser, tmp_path, model):
    from served_model import Running

    from deepcuts.artifacts import Bundle
    from deepcuts.serve.state import State

    Bundle.load(model).save(tmp_path / "own/model")
    held = Running(State(tmp_path / "own/model", users=["user0"]))
    context = browser.new_context()
    page = context.new_page()
    page.goto(held.url + "/#/new")
    page.wait_for_selector("#drop")
    page.set_input_files("#file", str(tone(tmp_path / "Kept Tune.ogg", 0, 55, 6.0)))
    page.click("text=Add it to the model", timeout=60_000)
    page.wait_for_selector("text=Added. Search finds it now.", timeout=60_000)
    page.fill("#query", "kept tune")
    page.wait_for_selector("ol.songs >> text=Kept Tune")
    context.close()
    held.stop()
    held.state.close()
