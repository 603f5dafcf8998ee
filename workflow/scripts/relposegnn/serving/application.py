"""The service's HTTP interface: it localises photos, and has a page for them."""

import asyncio
import json
import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..disk_errors import describe_disk_error
from ..photos.cameras import check_focal_length
from ..photos.files import PhotoError
from ..runtime import InputError, plain
from ..version import VERSION
from .protection import Protection
from .turns import BusyError, GoneError, Turns
from .uploads import Uploads

logger = logging.getLogger(__name__)

FOCAL_LENGTH = "focal_length"  # the parameter of a request
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/map.js": ("map.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Answering(Protocol):
    """What the service needs of a place, such as ``answers.LoadedPlace``."""

    scene: str
    map: dict

    def localise(self, photo: bytes, focal_length: float | None) -> dict:
        """Return the answer to a photo, whose focal length may be given, in longer sides."""

    def check(self) -> None:
        """Raise InputError if photos can no longer be localised."""


class Bounds(NamedTuple):
    """How much work the service accepts.

    Attributes:
        limit: bytes of a request.
        queue: photos in the queue, including the one being localised. The photos being received may
            have ``limit * queue`` bytes, all together.
    """

    limit: int
    queue: int


def make_application(place: Answering, bounds: Bounds, loopback: bool = True) -> ASGIApp:
    """Return the service of a place.

    Args:
        place: that the photos show.
        bounds: how much work is accepted.
        loopback: whether the service is only for this machine.
    """
    turns = Turns(bounds.queue)
    uploads = Uploads(bounds.limit, bounds.limit * bounds.queue)
    map_json = json.dumps(place.map | {"limit_bytes": bounds.limit}, allow_nan=False).encode()

    async def localise(request: Request) -> Response:
        """Answer with the pose of a photo."""
        try:
            turns.check_place()  # before the photo is received
            length = _focal_length(request)
            localised = partial(place.localise, await uploads.receive(request), length)
            with turns.place():
                return JSONResponse(await turns.answer(localised, request.is_disconnected))
        except asyncio.CancelledError:  # by a second Ctrl-C
            raise HTTPException(503, "the service has ended; send the photo again later") from None

    async def tell_map(_: Request) -> Response:
        """Answer with the map, which the page draws."""
        return Response(map_json, media_type="application/json")

    async def tell_health(_: Request) -> Response:
        """Answer that the service works, with its place and numbers of photos."""
        place.check()
        counts = {"inside": turns.inside, "finished": turns.finished}
        told = {"status": "ok", "scene": place.scene, "version": VERSION}
        return JSONResponse(told | counts)

    routes = [
        Route("/localise", localise, methods=["POST"]),
        Route("/map", tell_map),
        Route("/health", tell_health),
        *(Route(path, _sends(*file)) for path, file in PAGE.items()),
    ]
    known = [f"{'/'.join(sorted(route.methods))} {route.path}" for route in routes]
    handlers = _handlers(f"expected one of {', '.join(known)}")
    application = Starlette(routes=routes, exception_handlers=handlers)
    application.router.redirect_slashes = False  # would send a proxy's clients to localhost
    return Protection(application, loopback)


def _focal_length(request: Request) -> float | None:
    """Return the focal length that the address of a request gives, in longer sides, or None.

    Raises:
        HTTPException: 400, it is not that of a lens, or there is another parameter.
    """
    others = [name for name in request.query_params if name != FOCAL_LENGTH]
    if others:
        message = f"{others[0]}: no such parameter, expected {FOCAL_LENGTH} or none"
        raise HTTPException(400, plain(message))
    told = request.query_params.get(FOCAL_LENGTH)
    try:
        length = None if told is None else float(told)
        check_focal_length(length)
    except InputError as error:
        raise HTTPException(400, str(error)) from None
    except ValueError:
        message = f"{FOCAL_LENGTH}: got {told}, expected a number, in longer sides of the photo"
        raise HTTPException(400, plain(message)) from None
    return length


def _sends(name: str, media_type: str) -> ASGIApp:
    """Return an endpoint that answers with a file of the page."""
    content = Path(__file__).with_name(name).read_bytes()

    async def send(_: Request) -> Response:
        """Answer with the file."""
        return Response(content, media_type=media_type)

    return send


def _handlers(known: str) -> dict:
    """Return the handler of each kind of error; ``known`` lists the addresses, for messages."""

    def of_http(request: Request, error: HTTPException) -> Response:
        """Answer what is wrong with the request."""
        message = error.detail
        if error.status_code in (404, 405):
            message = plain(f"{request.method} {request.url.path}: no such path or method, {known}")
        return _refusal(error.status_code, message, error.headers)

    def of_photo(_: Request, error: PhotoError) -> Response:
        """Answer what is wrong with the photo."""
        return _refusal(422, str(error))

    def of_place(_: Request, error: InputError) -> Response:
        """Log and answer that the place's files have changed or cannot be read."""
        logger.error("%s", error)
        return _refusal(500, str(error))

    def of_disk(_: Request, error: OSError) -> Response:
        """Log what is wrong with the disk, and answer that the photo cannot be written."""
        trouble = describe_disk_error(Path(tempfile.gettempdir(), "photo"), error)
        if trouble is None:
            raise error
        logger.error("%s", trouble)
        return _refusal(500, "the service cannot write the photo to its disk; its log says why")

    def of_busy(_: Request, error: BusyError) -> Response:
        """Answer when to try again."""
        return _refusal(503, str(error), {"Retry-After": str(error.seconds)})

    def of_gone(_: Request, error: Exception) -> Response:
        """Return a response that nobody gets: the client is gone."""
        return Response(status_code=400)

    def of_fault(_: Request, error: Exception) -> Response:
        """Answer that the service is at fault."""
        return _refusal(500, "the service failed on this request; its log says why")

    return {
        HTTPException: of_http,
        PhotoError: of_photo,
        InputError: of_place,
        OSError: of_disk,
        BusyError: of_busy,
        GoneError: of_gone,
        ClientDisconnect: of_gone,
        Exception: of_fault,
    }


def _refusal(status: int, message: str, headers: dict | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
