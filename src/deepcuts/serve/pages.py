"""The page: a few files of our own, from this package; nothing from another host."""

from importlib.resources import files

from fastapi import APIRouter, Response

from deepcuts.serve.problems import NotFound

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
         "svg": "image/svg+xml"}  # fmt: skip
FILES = ("index.html", "app.js", "api.js", "views.js", "map.js", "player.js", "style.css", "icon.svg")


def make_pages() -> APIRouter:
    """`/` and `/static/…`."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/")
    def index() -> Response:
        return _file("index.html")

    @pages.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in FILES:
            raise NotFound(f"no page {name!r}.")
        return _file(name)

    return pages


def _file(name: str) -> Response:
    content = files("deepcuts.serve").joinpath("static", name).read_bytes()
    return Response(content, media_type=TYPES[name.rpartition(".")[2]], headers={"Cache-Control": "no-cache"})
