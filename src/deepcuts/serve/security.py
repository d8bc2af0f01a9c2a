"""What may come in: logins, hosts, origins, rates; and the headers that go out.

On the loopback address no login is asked for the REST and the page, so other web sites must not reach them through the
listener's own browser: the Host must be a loopback name, and requests that change something must come from our page.
"""

import base64
import binascii
import time
from collections import defaultdict, deque

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepcuts.serve.accounts import Account
from deepcuts.serve.problems import problem
from deepcuts.serve.state import State

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]", "testserver", "test"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}
# Players that run as web pages come from other origins; every call brings its own login, and no cookie counts.
PLAYERS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range",
}
PLAYERS = "/rest/"
FAILURES, WINDOW = 20, 60.0  # wrong logins of one address in so many seconds
REQUESTS_A_SECOND = 400.0  # of one address
OPEN = ("/health", PLAYERS)  # the players' protocol has its own logins


class Limits:
    """How often an address may ask, and fail to log in."""

    def __init__(self) -> None:
        self._failed: dict[str, deque[float]] = defaultdict(deque)
        self._tokens: dict[str, tuple[float, float]] = {}

    def fail(self, address: str) -> None:
        """Count a wrong login."""
        self._failed[address].append(time.monotonic())

    def is_locked(self, address: str) -> bool:
        """Whether an address failed too often of late."""
        held = self._failed.get(address)
        while held and held[0] < time.monotonic() - WINDOW:
            held.popleft()
        return bool(held) and len(held or ()) >= FAILURES

    def is_flooding(self, address: str) -> bool:
        """Whether an address asks more often than REQUESTS_A_SECOND, bursts of two seconds aside."""
        now = time.monotonic()
        if len(self._tokens) > 10_000:
            self._tokens.clear()
        left, then = self._tokens.get(address, (2 * REQUESTS_A_SECOND, now))
        left = min(2 * REQUESTS_A_SECOND, left + (now - then) * REQUESTS_A_SECOND) - 1
        self._tokens[address] = (left, now)
        return left < 0


def account_of(request: Request, state: State) -> Account | None:
    """Who sends a request: by Bearer key or Basic password; None for nobody or a wrong one."""
    kind, _, held = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return state.accounts.of_key(held.strip())
    if kind.lower() == "basic":
        try:
            name, _, password = base64.b64decode(held, validate=True).decode("utf-8", "replace").partition(":")
        except (binascii.Error, ValueError):
            return None
        account = state.accounts.get(name)
        return account if account is not None and account.has_password(password) else None
    return None


def add_security(app: FastAPI, state: State, limits: Limits) -> None:
    """Check every request of an app, and set the headers of every answer."""
    app.add_middleware(Checked, state=state, limits=limits)


class Checked:
    """The checks around an app; a plain ASGI layer, which costs an answer a tenth of what Starlette's helper does."""

    def __init__(self, app: ASGIApp, state: State, limits: Limits) -> None:
        self.app, self.state, self.limits = app, state, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or let it through; count it either way."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_checked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                set_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        try:
            await (_refusal(Request(scope), self.state, self.limits) or self.app)(scope, receive, send_checked)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.state.counts[path, status] += 1
            self.state.seconds[path] += time.perf_counter() - began


def set_headers(headers: MutableHeaders, path: str) -> None:
    """Set what every answer carries, unless the answer says otherwise itself."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if path.startswith(PLAYERS):
        headers.update(PLAYERS_HEADERS)


def _refusal(request: Request, state: State, limits: Limits) -> Response | None:
    address = request.client.host if request.client else ""
    if limits.is_flooding(address):
        return problem(429, "Too many requests", "Wait a second and ask again.", {"Retry-After": "1"})
    host = request.headers.get("host", "").rsplit(":", 1)[0] if request.headers.get("host") else ""
    if not state.secured and host not in LOOPBACK:
        return problem(403, "Refused", f"host {host!r}: without a login only loopback names are answered.")
    if _is_foreign(request):
        return problem(403, "Refused", "The request comes from another web site.")
    if state.secured and not request.url.path.startswith(OPEN):
        return _login(request, state, limits, address)
    return None


def _is_foreign(request: Request) -> bool:
    """Whether a request that may change something comes from another web site's page."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.url.path.startswith(PLAYERS):
        return False  # players may be web pages; each of their calls brings its own login
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and origin.split("://", 1)[-1] != request.headers.get("host", "")


def _login(request: Request, state: State, limits: Limits, address: str) -> Response | None:
    if limits.is_locked(address):
        return problem(429, "Too many wrong logins", "Wait a minute and try again.", {"Retry-After": "60"})
    if account_of(request, state) is not None:
        return None
    if request.headers.get("authorization"):
        limits.fail(address)
    return problem(
        401, "Log in", "A name and password, or an API key, is needed.", {"WWW-Authenticate": 'Basic realm="deepcuts"'}
    )
