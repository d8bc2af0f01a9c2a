"""The server: REST, players' protocols and the page in one process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from deepcuts import __version__
from deepcuts.serve.api import make_api
from deepcuts.serve.facade import make_facade
from deepcuts.serve.jobs import Jobs
from deepcuts.serve.opensubsonic.router import make_opensubsonic
from deepcuts.serve.pages import make_pages
from deepcuts.serve.problems import add_problems
from deepcuts.serve.security import Limits, add_security
from deepcuts.serve.state import State


def create_app(state: State) -> FastAPI:
    """A server over a model."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        state.close()

    app = FastAPI(title="deepcuts", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
                  description="Songs that nobody has played yet, from how they sound.",
                  openapi_url="/api/openapi.json")  # fmt: skip
    limits, jobs = Limits(), Jobs()
    add_problems(app)
    add_security(app, state, limits)
    app.include_router(make_facade(state))
    app.include_router(make_api(state, jobs))
    app.include_router(make_opensubsonic(state, limits))
    app.include_router(make_pages())

    @app.get("/health", summary="Whether the server answers")
    def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "songs": len(state.model.answers.bundle.songs)}

    @app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        return PlainTextResponse(metrics_text(state), media_type="text/plain; version=0.0.4")

    return app


def metrics_text(state: State) -> str:
    """Counters in Prometheus' text form."""
    lines = ["# HELP deepcuts_requests_total Requests answered.", "# TYPE deepcuts_requests_total counter"]
    for (path, status), n in sorted(state.counts.items()):
        lines.append(f'deepcuts_requests_total{{path="{path}",status="{status}"}} {n}')
    lines += [
        "# HELP deepcuts_request_seconds_total Time spent on requests.",
        "# TYPE deepcuts_request_seconds_total counter",
    ]
    for path, seconds in sorted(state.seconds.items()):
        lines.append(f'deepcuts_request_seconds_total{{path="{path}"}} {seconds:.6f}')
    bundle = state.model.answers.bundle
    for name, value, text in (
        ("songs", len(bundle.songs), "Songs in the model."),
        ("users", len(bundle.users), "Listeners in the model."),
        ("uptime_seconds", round(time() - state.started, 1), "Since the server began."),
    ):
        lines += [f"# HELP deepcuts_{name} {text}", f"# TYPE deepcuts_{name} gauge", f"deepcuts_{name} {value}"]
    return "\n".join(lines) + "\n"
