"""Keep other sites' pages from using the service, and its own page from loading other sites.

A page of another site can make a browser send requests to this service: by its address, which the
headers Sec-Fetch-Site and Origin reveal, or by a name of the site's own that resolves to this
machine (DNS rebinding), which the header Host reveals.
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
    """An application that answers only its own page and programs, always with ``HEADERS``."""

    def __init__(self, application: ASGIApp, loopback: bool) -> None:
        """Protect an application.

        Args:
            application: to protect.
            loopback: whether it is only for this machine; then Host has to be a name of it.
        """
        self._application, self._loopback = application, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_protected(message: Message) -> None:
            """Send a message, and add ``HEADERS`` to the first one of an answer."""
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        trouble = self._trouble(scope) if scope["type"] == "http" else None
        answer = JSONResponse({"error": trouble}, 403) if trouble else self._application
        await answer(scope, receive, send_protected)

    def _trouble(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._loopback and not is_loopback(_name_in(f"//{host}")):
            return (
                f"Host: is {host!r:.80}, expected localhost or 127.0.0.1: this service is only for "
                "its own machine; start it with --host to serve others"
            )
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        own = origin is None or origin.partition("://")[2] == host
        if site in ("cross-site", "same-site") or (site is None and not own):
            navigation = headers.get("sec-fetch-mode") == "navigate"  # by a link, or by a form
            if not (navigation and scope["method"] == "GET"):
                return "a page of another site asked, expected the service's own page or a program"
        return None


def is_loopback(name: str) -> bool:
    """Return whether a host's name or address always means the machine itself."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _name_in(address: str) -> str:
    """Return the host's name in a web address; '' if there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
