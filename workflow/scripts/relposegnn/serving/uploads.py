"""Photos as they are sent: the body of a request, or a file in a form; never more than a limit."""

import asyncio

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

PATIENCE = 60  # seconds until a photo has come
EXPECTED = "expected a photo as its one file: curl -F photo=@a.jpg"
FIELDS, FIELD_BYTES = 8, 1 << 16  # of a form, beside the photo


async def receive_photo(request: Request, limit: int) -> bytes:
    """Return the bytes of the photo that a request carries.

    Args:
        request: that has not been read.
        limit: bytes that it may have: by its own account, before any is read, and in fact.

    Raises:
        HTTPException: 400, it carries none, or no whole form; 408, it does not come; 413, it is too
            large.
    """
    told = request.headers.get("content-length", "0")  # uvicorn has seen that it is a number
    if int(told) > limit:
        raise _too_large(told, limit)
    limited = Request(request.scope, _Limited(request, limit).receive)
    try:
        async with asyncio.timeout(PATIENCE):
            photo = await _photo_in(limited)
    except TimeoutError:
        trouble = f"photo: has not come in {PATIENCE} s; send a smaller one"
        raise HTTPException(408, trouble) from None
    if not photo:
        raise HTTPException(400, "photo: is empty, expected the bytes of an image")
    return photo


async def _photo_in(request: Request) -> bytes:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        return await request.body()
    bounds = {"max_files": 1, "max_fields": FIELDS, "max_part_size": FIELD_BYTES}
    try:
        async with request.form(**bounds) as form:
            for value in form.values():
                if isinstance(value, UploadFile):
                    return await value.read()
    except HTTPException as error:
        if error.status_code != 400:  # too large
            raise
        raise HTTPException(400, f"form: cannot be read ({error.detail}), {EXPECTED}") from error
    raise HTTPException(400, f"form: holds no file, {EXPECTED}")


class _Limited:
    """What comes of a request, while it is within the limit."""

    def __init__(self, request: Request, limit: int) -> None:
        self._receive, self._limit, self._got = request.receive, limit, 0

    async def receive(self) -> Message:
        """Return the next part of the request; HTTPException 413 beyond the limit."""
        message = await self._receive()
        self._got += len(message.get("body", b""))
        if self._got > self._limit:
            raise _too_large(f"more than {self._limit}", self._limit)
        return message


def _too_large(found: str, limit: int) -> HTTPException:
    return HTTPException(
        413,
        f"photo: has {found} bytes, expected at most {limit}; send a smaller one, or start the "
        "service with a larger --limit",
    )
