"""What the page asks the server: the increment library, changes to it, and known rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ..sepme_core.errors import IncrementFileError, SepMEError
from . import files, library_changes
from .last_run import known_rows
from .library import list_library
from .library_changes import MOST_BYTES, LibraryError

__all__ = ["register_routes"]

PATH = "/sepme/library"
VERSION = 1
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def register_routes(routes: web.RouteTableDef) -> None:
    """Adds our routes to the host's, once; it offers them under `/api` as well."""
    if any(getattr(route, "path", "") == PATH for route in routes):
        return
    for method, path, handler in (
        ("GET", PATH, _list),
        ("GET", f"{PATH}/hash", _hash),
        ("GET", f"{PATH}/thumbnail", _thumbnail),
        ("POST", f"{PATH}/thumbnail", _keep_thumbnail),
        ("POST", f"{PATH}/rename", _rename),
        ("POST", f"{PATH}/delete", _delete),
        ("POST", "/sepme/eraser", _eraser),
    ):
        routes.route(method, path)(_explaining(handler))


def _explaining(handler: Handler) -> Handler:
    """Refusals as JSON, so that the page can show why."""

    async def explained(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LibraryError as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except IncrementFileError as error:
            return web.json_response({"error": str(error)}, status=404)
        except SepMEError as error:
            return web.json_response({"error": str(error)}, status=400)

    return explained


async def _list(_: web.Request) -> web.Response:
    roots = files.roots()
    found = await asyncio.to_thread(list_library, roots)
    writable = any(map(files.writable, roots))
    return web.json_response({"version": VERSION, "files": found, "writable": writable})


async def _hash(request: web.Request) -> web.Response:
    file = _file(request.query)
    library_changes.locate(files.roots(), file)
    return web.json_response(
        {"file": file, "sha256": await asyncio.to_thread(files.file_hash, file)}
    )


async def _thumbnail(request: web.Request) -> web.StreamResponse:
    _, path = library_changes.locate(files.roots(), _file(request.query))
    picture = library_changes.thumbnail_of(path)
    if picture is None:
        raise LibraryError("There is no picture for this file.", 404)
    return web.FileResponse(picture, headers={"X-Content-Type-Options": "nosniff"})


async def _keep_thumbnail(request: web.Request) -> web.Response:
    file = _file(request.query)
    _, path = library_changes.locate_own(files.roots(), file)
    if not request.content_type.startswith("image/"):  # no other site's page can send that
        raise LibraryError(f"Got {request.content_type}, expected a picture.", 415)
    data = bytearray()
    async for part in request.content.iter_chunked(1 << 16):
        data += part
        if len(data) > MOST_BYTES:
            raise LibraryError(f"The picture is too large, expected up to {MOST_BYTES} bytes.", 413)
    await asyncio.to_thread(library_changes.keep_thumbnail, path, bytes(data))
    return await _entry(file)


async def _rename(request: web.Request) -> web.Response:
    given = await _json(request)
    new = library_changes.rename(files.roots(), _file(given), _text(given, "name"))
    return await _entry(new)


async def _delete(request: web.Request) -> web.Response:
    given = await _json(request)
    return web.json_response({"trash": library_changes.throw_away(files.roots(), _file(given))})


async def _eraser(request: web.Request) -> web.Response:
    given = await _json(request)
    found = await asyncio.to_thread(known_rows, given)
    return web.json_response({"version": VERSION, **found})


async def _entry(file: str) -> web.Response:
    found = await asyncio.to_thread(list_library, files.roots())
    return web.json_response(next(entry for entry in found if entry["file"] == file))


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":  # no other site's page can send that
        raise LibraryError(f"Got {request.content_type}, expected application/json.", 415)
    try:
        given = await request.json()
    except (ValueError, LookupError, RecursionError) as error:
        raise LibraryError(f"The request is no valid JSON: {error}.") from error
    if not isinstance(given, dict):
        raise LibraryError(f"Got {given!r}, expected an object.")
    return given


def _file(given: Any) -> str:
    return _text(given, "file")


def _text(given: Any, name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise LibraryError(f"{name!r} is {value!r}, expected text.")
    return value
