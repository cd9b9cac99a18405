"""Changes to the increment library. Nothing outside `models/sepme` is touched, nothing erased."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image

from ..sepme_core.errors import SepMEError
from ..sepme_core.safetensors_file import write_atomically
from . import files
from .file_names import refusal, shortened, tidy
from .listing import ENDING, PICTURES, is_apart, is_twin, without_ending

__all__ = [
    "MOST_BYTES",
    "LibraryError",
    "changing",
    "is_there",
    "keep_thumbnail",
    "locate",
    "locate_own",
    "move",
    "parts_of",
    "refuse_links",
    "rename",
    "thumbnail_of",
    "with_pictures",
]

MOST_BYTES = 8 * 2**20
_MOST_PIXELS = 40_000_000
_SIDE = 512
_NO_NAME = re.compile(r"[\x00-\x1f\\:]")  # a drive, or another system's folders


class LibraryError(SepMEError):
    """A request that is refused.

    Args:
        status: of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def locate(roots: Sequence[Path], file: str) -> tuple[Path, Path]:
    """The folder and the path of a listed file, also through links, to be read.

    Raises:
        LibraryError: the name leads out of the folder, or nothing has it.
    """
    parts = parts_of(file)
    for root in roots:
        path = root.joinpath(*parts)
        if is_there(path):
            if is_apart(root, parts[0]):
                raise LibraryError(f"{file!r} is not in the library.", 403)
            return root, path
    raise LibraryError(
        f"{shortened(file)!r} is not in models/{files.FOLDER} any more. Refresh the library.", 404
    )


def locate_own(roots: Sequence[Path], file: str) -> tuple[Path, Path]:
    """The folder and the path of a listed file, to be changed.

    Raises:
        LibraryError: as for `locate`; also for a link, or what lies in a linked folder.
    """
    root, path = locate(roots, file)
    refuse_links(root, path)
    return root, path


def parts_of(file: str) -> tuple[str, ...]:
    """A listed file's folders and name.

    Raises:
        LibraryError: no listed file can be called so.
    """
    parts = PurePosixPath(file).parts
    strange = not parts or file != "/".join(parts) or _NO_NAME.search(file)
    if strange or ".." in parts or is_twin(parts[-1]) or not file.lower().endswith(ENDING):
        raise LibraryError(
            f"{shortened(file)!r} is no name of an increment file. Expected one of those that are "
            "listed, such as 'styles/cat.safetensors'."
        )
    return parts


def is_there(path: Path) -> bool:
    """Also links that lead nowhere; a name that is too long for the system has no file."""
    try:
        return path.is_symlink() or path.is_file()
    except OSError:
        return False


def refuse_links(root: Path, path: Path) -> None:
    """A link may lead anywhere, and moving it would be moving something else."""
    inside = path.relative_to(root)
    if path.resolve() != root.resolve() / inside:
        raise LibraryError(
            f"{inside.as_posix()!r} is a link, or in a linked folder. Change the file where it "
            "really lies.",
            403,
        )


def thumbnail_of(roots: Sequence[Path], file: str) -> Path | None:
    """The picture beside a listed file; a link counts if it leads to one.

    Raises:
        LibraryError: see `locate`.
    """
    _, path = locate(roots, file)
    pictures = (path.with_suffix(ending) for ending in PICTURES)
    found = next((p for p in pictures if p.is_file()), None)
    return found if found and found.resolve().suffix.lower() in PICTURES else None


def keep_thumbnail(roots: Sequence[Path], file: str, data: bytes) -> None:
    """Stores a picture beside a file, drawn anew in a modest size: only pixels are taken over.

    Raises:
        LibraryError: see `locate_own`; too many pixels, or no picture.
    """
    small = _small(data)
    _, path = locate_own(roots, file)
    with changing(path):
        write_atomically(path.with_suffix(PICTURES[0]), small)


def _small(data: bytes) -> bytes:
    try:
        with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise LibraryError(
                    f"The picture has {image.width} x {image.height} pixels, expected at most "
                    f"{_MOST_PIXELS // 10**6} million.",
                    413,
                )
            image.thumbnail((_SIDE, _SIDE))
            small = BytesIO()
            image.convert("RGBA" if image.has_transparency_data else "RGB").save(small, "WEBP")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LibraryError(
            f"The picture cannot be read ({error}). Use PNG, JPEG or WebP."
        ) from error
    return small.getvalue()


def rename(roots: Sequence[Path], file: str, name: str) -> str:
    """Gives a file another name in the same folder, its thumbnail as well; the new listed name.

    Raises:
        LibraryError: a name that some system cannot have, or that is taken.
    """
    root, path = locate_own(roots, file)
    name = without_ending(name.strip())
    if why := refusal(name):
        raise LibraryError(
            f"{shortened(name)!r} cannot be a file's name everywhere: {why}. Use letters, digits, "
            "spaces, dots within, - and _."
        )
    target = path.with_name(tidy(name) + ENDING)
    new = target.relative_to(root).as_posix()
    moves = with_pictures(path, target)
    for old, moved in [*moves, *((path, other / new) for other in roots)]:
        if os.path.lexists(moved) and not (moved.exists() and moved.samefile(old)):
            raise LibraryError(f"{moved.name!r} exists already. Choose another name.", 409)
    move(moves)
    return new


def with_pictures(path: Path, target: Path) -> list[tuple[Path, Path]]:
    """What is moved, and where to: the file first."""
    pictures = [(path.with_suffix(e), target.with_suffix(e)) for e in PICTURES]
    return [(path, target), *((old, new) for old, new in pictures if os.path.lexists(old))]


def move(moves: Sequence[tuple[Path, Path]]) -> None:
    """Moves all of them or none; nothing may be in the way.

    Raises:
        LibraryError: the file system refuses one of them.
    """
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in moves:
            with changing(old):
                os.replace(old, new)
            done.append((old, new))
    except LibraryError:
        for old, new in reversed(done):
            with suppress(OSError):  # the first failure is what is told
                os.replace(new, old)
        raise


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Around a change to a file: what the file system refuses becomes a LibraryError."""
    try:
        yield
    except OSError as error:
        raise LibraryError(
            f"{path.name!r} could not be changed: {error.strerror or error}. Check the folder's "
            "permissions; it may be read-only.",
            403,
        ) from error
    finally:
        files.forget_list()
