"""Errors as problem+json, in the words of the command line (RFC 9457)."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deepcuts.errors import ArtifactError, DeepcutsError, InputError, ResourceError, SettingError

STATUS: dict[type[DeepcutsError], int] = {InputError: 422, SettingError: 422, ArtifactError: 500, ResourceError: 507}


class NotFound(InputError):
    """A song, listener or playlist that is not there."""


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """An answer that says what went wrong."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status, headers=headers, media_type="application/problem+json")


def add_problems(app: FastAPI) -> None:
    """Let every error of an app become a problem."""

    @app.exception_handler(DeepcutsError)
    async def ours(request: Request, error: DeepcutsError) -> JSONResponse:
        if isinstance(error, NotFound):
            return problem(404, "Not found", str(error))
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
        return problem(status, "Cannot be done", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return problem(422, "Invalid request", said)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem(
            error.status_code, "Refused" if error.status_code < 404 else "Cannot be done", str(error.detail), headers
        )
