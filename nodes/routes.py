"""What the page asks the server: the increment library, changes to it, and known rows."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ..sepme_core.errors import IncrementFileError, SepMEError
from . import cache, files, kept, library_changes, trash
from .checking import checked_prompts
from .file_names import shortened
from .last_run import known_rows
from .library import list_library
from .library_changes import MOST_BYTES, LibraryError

__all__ = ["register_routes"]

PATH = "/sepme/library"
VERSION = 1
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CHANGING = threading.Lock()
"""One change at a time: between looking whether a name is taken and taking it."""


def register_routes(routes: web.RouteTableDef) -> None:
    """Adds our routes to the host's, once; it offers them under `/api` as well."""
    if any(getattr(route, "path", "") == PATH for route in routes):
        return
    for method, path, handler in (
        ("GET", PATH, _list),
        ("GET", f"{PATH}/hash", _hash),
        ("GET", f"{PATH}/find", _find),
        ("GET", f"{PATH}/thumbnail", _thumbnail),
        ("POST", f"{PATH}/thumbnail", _keep_thumbnail),
        ("POST", f"{PATH}/rename", _rename),
        ("POST", f"{PATH}/delete", _delete),
        ("GET", f"{PATH}/trash", _trash),
        ("POST", f"{PATH}/restore", _restore),
        ("POST", "/sepme/eraser", _eraser),
        ("POST", "/sepme/check", _check),
        ("GET", "/sepme/cache", _cache),
        ("POST", "/sepme/cache/clear", _clear_cache),
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
        except OSError as error:
            told = f"The file system refuses: {error.strerror or error}. Check the folder."
            return web.json_response({"error": told}, status=403)

    return explained


async def _apart(work: Callable[..., Any], *given: Any) -> Any:
    """Works on files beside the event loop: a disk may be slow, or asleep."""
    return await asyncio.to_thread(work, files.roots(), *given)


async def _change(work: Callable[..., Any], *given: Any) -> Any:
    """As `_apart`, one after the other."""

    def alone(*args: Any) -> Any:
        with _CHANGING:
            return work(*args)

    return await _apart(alone, *given)


async def _list(_: web.Request) -> web.Response:
    found = await _apart(list_library)
    can_write = await _apart(lambda roots: any(map(files.writable, roots)))
    return web.json_response({"version": VERSION, "files": found, "writable": can_write})


async def _hash(request: web.Request) -> web.Response:
    file = _file(request.query)
    await _apart(library_changes.locate, file)
    return web.json_response(
        {"file": file, "sha256": await asyncio.to_thread(files.file_hash, file)}
    )


async def _find(request: web.Request) -> web.Response:
    sha256 = _text(request.query, "sha256").casefold()
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise LibraryError(f"{shortened(sha256)!r} is no SHA-256, expected 64 digits in hex.")
    file = await asyncio.to_thread(files.find_increment, sha256)
    if not file:
        raise LibraryError(f"No file in models/{files.FOLDER} has that hash.", 404)
    return web.json_response({"file": file})


async def _thumbnail(request: web.Request) -> web.StreamResponse:
    picture = await _apart(library_changes.thumbnail_of, _file(request.query))
    if picture is None:
        raise LibraryError("There is no picture for this file.", 404)
    told = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}  # it may be another
    return web.FileResponse(picture, headers=told)


async def _keep_thumbnail(request: web.Request) -> web.Response:
    file = _file(request.query)
    await _apart(library_changes.locate_own, file)
    if not request.content_type.startswith("image/"):  # no other site's page can send that
        raise LibraryError(f"Got {request.content_type}, expected a picture.", 415)
    data = bytearray()
    async for part in request.content.iter_chunked(1 << 16):
        data += part
        if len(data) > MOST_BYTES:
            raise LibraryError(f"The picture is too large, expected up to {MOST_BYTES} bytes.", 413)
    await _change(library_changes.keep_thumbnail, file, bytes(data))
    return await _entry(file)


async def _rename(request: web.Request) -> web.Response:
    given = await _json(request)
    return await _entry(await _change(library_changes.rename, _file(given), _text(given, "name")))


async def _delete(request: web.Request) -> web.Response:
    given = await _json(request)
    return web.json_response({"trash": await _change(trash.throw_away, _file(given))})


async def _trash(_: web.Request) -> web.Response:
    return web.json_response({"version": VERSION, "files": await _apart(trash.list_trash)})


async def _restore(request: web.Request) -> web.Response:
    given = await _json(request)
    return await _entry(await _change(trash.restore, _text(given, "trash")))


async def _eraser(request: web.Request) -> web.Response:
    given = await _json(request)
    found = await asyncio.to_thread(known_rows, given)
    return web.json_response({"version": VERSION, **found})


async def _cache(_: web.Request) -> web.Response:
    found = await asyncio.to_thread(cache.state, files.cache_folder())
    return web.json_response({"version": VERSION, **found})


async def _clear_cache(request: web.Request) -> web.Response:
    await _json(request)
    kept.forget()
    return web.json_response({"freed": await asyncio.to_thread(cache.clear, files.cache_folder())})


async def _check(request: web.Request) -> web.Response:
    given = await _json(request)
    found = await asyncio.to_thread(checked_prompts, given)
    return web.json_response({"version": VERSION, "prompts": found})


async def _entry(file: str) -> web.Response:
    found = {entry["file"]: entry for entry in await _apart(list_library)}
    if file not in found:
        raise LibraryError(f"{file!r} has just been moved by somebody else. Refresh.", 404)
    return web.json_response(found[file])


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
