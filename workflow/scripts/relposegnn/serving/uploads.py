"""Receive photos, within limits: as the body of a request, or as a file in a form."""

import asyncio

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

PATIENCE = 60  # seconds in which a photo has to be received
EXPECTED = "expected a photo as its only file: curl -F photo=@a.jpg"
FIELDS, FIELD_BYTES = 8, 1 << 16  # most of a form, beside the photo


class Uploads:
    """Photos being received. Only received bytes count, so a stalled upload blocks hardly any."""

    def __init__(self, limit: int, most: int) -> None:
        """Begin with none.

        Args:
            limit: bytes that a photo may have, as announced (checked before reading) and in fact.
            most: bytes that may be held of all photos being received.
        """
        self._limit, self._most, self._come = limit, most, 0

    async def receive(self, request: Request) -> bytes:
        """Read a request; return the bytes of its photo.

        Raises:
            HTTPException: 400, there is no photo or the form is broken; 408, the photo is not
                received in time; 413, it is too large; 503, too much is being received.
        """
        told = request.headers.get("content-length", "0")  # uvicorn has checked that it is a number
        if int(told) > self._limit:
            raise _too_large(told, self._limit)
        got = 0

        async def receive_part() -> Message:
            """Return the next part of the request, within the limits."""
            nonlocal got
            message = await request.receive()
            size = len(message.get("body", b""))
            got += size
            self._come += size
            if got > self._limit:
                raise _too_large(f"more than {self._limit}", self._limit)
            if self._come > self._most:
                raise _too_many(self._most)
            return message

        try:
            async with asyncio.timeout(PATIENCE):
                photo = await _photo_in(Request(request.scope, receive_part))
        except TimeoutError:
            trouble = f"photo: not received within {PATIENCE} s; send a smaller one"
            raise HTTPException(408, trouble) from None
        finally:
            self._come -= got
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


def _too_large(found: str, limit: int) -> HTTPException:
    return HTTPException(
        413,
        f"photo: has {found} bytes, expected at most {limit}; send a smaller one, or start the "
        "service with a larger --limit",
    )


def _too_many(most: int) -> HTTPException:
    return HTTPException(
        503,
        f"photos: more than {most} bytes are being received; send this one again in {PATIENCE} s",
        {"Retry-After": str(PATIENCE)},  # by then, each of them is received or given up
    )
