"""What keeps other people's pages away from the service, and its own page to itself.

A page from elsewhere may make a browser ask this service: by its address, or by a name that its
owner lets lead to this machine (DNS rebinding). Browsers tell both: by the header Host, and by
Sec-Fetch-Site or Origin.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Protection:
    """An application that answers its own page, and programs; every answer has ``HEADERS``."""

    def __init__(self, application: ASGIApp, loopback: bool) -> None:
        """Protect an application.

        Args:
            application: to protect.
            loopback: whether it is for this machine alone, which then has to be asked for by name.
        """
        self._application, self._loopback = application, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_protected(message: Message) -> None:
            """Send a message, an answer's first one with the headers that protect it."""
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        trouble = self._trouble(Headers(scope=scope)) if scope["type"] == "http" else None
        answer = JSONResponse({"error": trouble}, 403) if trouble else self._application
        await answer(scope, receive, send_protected)

    def _trouble(self, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if self._loopback and not is_loopback(_name_in(f"//{host}")):
            return (
                f"Host: is {host!r:.80}, expected localhost or 127.0.0.1: this service is for its "
                "own machine; start it with --host to serve others"
            )
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        own = origin is None or origin.partition("://")[2] == host
        if site in ("cross-site", "same-site") or (site is None and not own):
            navigation = headers.get("sec-fetch-mode") == "navigate"  # a link to the page
            if not navigation:
                return "a page of another site asked, expected this service's own, or a program"
        return None


def is_loopback(name: str) -> bool:
    """Return whether a host's name or address is the machine's own by definition."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _name_in(address: str) -> str:
    """Return the host's name in a web address, '' where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
