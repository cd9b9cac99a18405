"""The increment library and its routes: everything listed, nothing outside touched."""

import asyncio
import hashlib
import json
import os
import sys
import threading
import time
from io import BytesIO

import folder_paths
import pytest
import torch
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image
from sepme_pack.nodes import files, hashes, library, library_changes, preserve
from sepme_pack.nodes.routes import register_routes
from sepme_pack.nodes.stacks import Load, Save
from sepme_pack.sepme_core.concepts import Concept
from sepme_pack.sepme_core.dead_zone import DeadZone
from sepme_pack.sepme_core.increment import Increment, Provenance, Stack
from sepme_pack.sepme_core.increment_file import to_bytes

LEAK = {"exact": 0.0, "linear": 0.25, "prompt": "a dog"}


def increment(name="cat", value=1.0):
    made = Provenance((), (), "sd1", "enc", "base", {"name": "closed form"}, LEAK)
    coef = {"block.to_k": torch.full((4, 2), value)}
    zone = DeadZone(0.3, 0.2, 0.75)
    concept = Concept(name, ("kitten",), "dog")
    return Increment(concept, torch.eye(2, 8), coef, dead_zone=zone, provenance=made)


def picture(size=(20, 10), kind="PNG", color="red"):
    data = BytesIO()
    Image.new("RGB", size, color).save(data, kind)
    return data.getvalue()


def ask(method, path, **given):
    """One request to a server that has nothing but our routes; status and body."""

    async def asked():
        routes = web.RouteTableDef()
        register_routes(routes)
        register_routes(routes)  # the host may ask for the nodes twice
        app = web.Application()
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            answer = await client.request(method, path, **given)
            kind = answer.content_type
            return answer.status, await (
                answer.json() if kind == "application/json" else answer.read()
            )

    return asyncio.run(asked())


def listed():
    status, body = ask("GET", "/sepme/library")
    assert status == 200
    return {entry["file"]: entry for entry in body["files"]}


@pytest.fixture
def folder(increments_folder):
    """With `cat`, `styles/dog`, and what is no increment."""
    write(increments_folder, "cat")
    write(increments_folder, "styles/dog")
    for other in ("cache/kept", "trash/old"):
        write(increments_folder, other)
    (increments_folder / "preserve").mkdir()
    (increments_folder / "preserve" / "list.txt").write_text("a boat")
    return increments_folder


def write(folder, file, **fields):
    path = folder / f"{file}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(increment(os.path.basename(file), **fields)))
    return path


def everything(folder):
    """Every file and its content, to see what a request has touched."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def outside(folder, tmp_path):
    """A file that no request may reach."""
    return write(tmp_path, "secret")


def test_what_the_files_say_of_themselves_is_listed(folder):
    found = listed()
    assert list(found) == ["cat.safetensors", "styles/dog.safetensors"]
    stat = (folder / "cat.safetensors").stat()
    assert found["cat.safetensors"] == {
        "file": "cat.safetensors",
        "concept": "cat",
        "synonyms": ["kitten"],
        "anchor": "dog",
        "family": "sd1",
        "text_encoder": "enc",
        "base": "base",
        "method": "closed form",
        "size": stat.st_size,
        "modified": stat.st_mtime,
        "leak": LEAK,
        "margin": pytest.approx(0.55),
        "thumbnail": False,
        "picture": None,
        "linked": False,
        "problem": "",
    }


def test_an_empty_or_missing_folder_is_an_empty_library(increments_folder):
    assert ask("GET", "/sepme/library") == (200, {"version": 1, "files": [], "writable": True})


def test_flaws_are_listed_with_their_file_and_the_others_as_well(folder):
    (folder / "broken.safetensors").write_bytes(b"x" * 50)
    cut = write(folder, "cut")
    cut.write_bytes(cut.read_bytes()[:-4])
    data = bytes.fromhex("0200000000000000") + b"{}"
    (folder / "other.safetensors").write_bytes(data)
    found = listed()
    assert "cannot be read as safetensors" in found["broken.safetensors"]["problem"]
    assert "truncated" in found["cut.safetensors"]["problem"]
    assert "not an increment" in found["other.safetensors"]["problem"]
    assert found["other.safetensors"]["concept"] == ""
    assert found["cat.safetensors"]["problem"] == ""


def test_headers_are_read_again_only_when_a_file_changed(folder, monkeypatch):
    read = []
    label = library.read_label
    monkeypatch.setattr(library, "read_label", lambda path: read.append(path.stem) or label(path))
    library._KNOWN.clear()
    listed()
    assert sorted(read) == ["cat", "dog"]
    listed()
    assert len(read) == 2
    write(folder, "cat", value=2.0)
    os.utime(folder / "cat.safetensors", (1, 1))
    listed()
    assert read[2:] == ["cat"]


def test_five_hundred_files_are_listed_from_their_headers(increments_folder, monkeypatch):
    for n in range(500):
        write(increments_folder, f"{n % 7}/n{n}")
    assert len(listed()) == 500
    monkeypatch.setattr(library, "read_label", lambda _: pytest.fail("read again"))
    assert len(listed()) == 500


def test_the_first_of_several_folders_has_precedence_as_in_the_host(folder, tmp_path, monkeypatch):
    write(tmp_path, "cat", value=2.0)
    write(tmp_path, "rose")
    paths, kinds = folder_paths.folder_names_and_paths["sepme"]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "sepme", ([*paths, str(tmp_path)], kinds)
    )
    assert list(listed()) == ["cat.safetensors", "rose.safetensors", "styles/dog.safetensors"]
    status, body = ask("GET", "/sepme/library/hash", params={"file": "cat.safetensors"})
    assert status == 200
    own = (folder / "cat.safetensors").read_bytes()
    assert body["sha256"] == hashlib.sha256(own).hexdigest()
    change = {"file": "rose.safetensors", "name": "cat"}
    assert ask("POST", "/sepme/library/rename", json=change)[0] == 409
    assert ask("POST", "/sepme/library/rename", json=change | {"name": "tulip"})[0] == 200
    assert (tmp_path / "tulip.safetensors").exists()
    assert ask("POST", "/sepme/library/delete", json={"file": "tulip.safetensors"})[0] == 200
    assert (tmp_path / "trash" / "tulip.safetensors").exists()


def test_a_file_is_found_by_its_hash_wherever_it_is(folder, outside, monkeypatch):
    def find(sha256):
        return ask("GET", "/sepme/library/find", params={"sha256": sha256})

    digest = hashlib.sha256((folder / "styles" / "dog.safetensors").read_bytes()).hexdigest()
    assert find(digest) == find(digest.upper()) == (200, {"file": "styles/dog.safetensors"})
    os.rename(folder / "styles", folder / "elsewhere")
    assert find(digest) == (200, {"file": "elsewhere/dog.safetensors"})
    monkeypatch.setattr(hashes, "_digest", lambda _: pytest.fail("hashed again"))
    assert find(digest)[0] == 200
    monkeypatch.undo()
    write(folder, "elsewhere/dog", value=2.0)
    assert find(digest)[0] == 404
    hidden = hashlib.sha256((folder / "trash" / "old.safetensors").read_bytes()).hexdigest()
    assert find(hidden)[0] == 404
    (folder / "linked").symlink_to(outside.parent)
    linked = hashlib.sha256(outside.read_bytes()).hexdigest()
    assert find(linked) == (200, {"file": "linked/secret.safetensors"})
    for no_hash in ("", "abc", "g" * 64, "0" * 65, "../cat.safetensors"):
        assert find(no_hash)[0] == 400
    assert ask("GET", "/sepme/library/find")[0] == 400


def test_a_file_that_is_no_increment_is_not_read_through_for_its_hash(folder):
    (folder / "big.safetensors").write_bytes(bytes.fromhex("0200000000000000") + b"{}" + bytes(99))
    digest = hashlib.sha256((folder / "big.safetensors").read_bytes()).hexdigest()
    assert ask("GET", "/sepme/library/find", params={"sha256": digest})[0] == 404


PNG = {"Content-Type": "image/png"}


def keep_picture(file, data, kind="image/png"):
    return ask(
        "POST",
        "/sepme/library/thumbnail",
        params={"file": file},
        data=BytesIO(data),
        headers={"Content-Type": kind},
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_is_kept_beside_its_file_in_a_modest_size(folder, kind):
    assert ask("GET", "/sepme/library/thumbnail", params={"file": "cat.safetensors"})[0] == 404
    status, entry = keep_picture("cat.safetensors", picture((2000, 1000), kind))
    assert (status, entry["thumbnail"]) == (200, True)
    assert entry["picture"] == (folder / "cat.webp").stat().st_mtime
    assert listed()["cat.safetensors"]["thumbnail"] is True
    assert listed()["styles/dog.safetensors"]["thumbnail"] is False
    status, data = ask("GET", "/sepme/library/thumbnail", params={"file": "cat.safetensors"})
    assert status == 200
    assert Image.open(BytesIO(data)).size == (512, 256)
    assert (folder / "cat.webp").read_bytes() == data


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"no picture", "image/png", 400),
        (picture()[:40], "image/png", 400),
        (picture(kind="GIF"), "image/gif", 400),
        (b"<svg onload='alert(1)'/>", "image/svg+xml", 400),
        (picture((8000, 8000)), "image/png", 413),
        (b"x" * (library_changes.MOST_BYTES + 1), "image/png", 413),
        (picture(), "text/plain", 415),
    ],
)
def test_what_is_no_modest_picture_is_refused(folder, data, kind, status):
    before = everything(folder)
    got, body = keep_picture("cat.safetensors", data, kind)
    assert got == status
    assert "icture" in body["error"]
    assert everything(folder) == before
    assert keep_picture("cat.safetensors", picture())[0] == 200


def test_a_file_is_renamed_with_its_thumbnail(folder):
    (folder / "styles" / "dog.jpg").write_bytes(picture(kind="JPEG"))
    change = {"file": "styles/dog.safetensors", "name": "Hund é"}
    status, entry = ask("POST", "/sepme/library/rename", json=change)
    assert (status, entry["file"]) == (200, "styles/Hund é.safetensors")
    assert entry["thumbnail"] is True
    assert "styles/Hund é.safetensors" in files.list_increments()
    assert "styles/dog.safetensors" not in files.list_increments()


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", ".hidden", "a/b", "../a", "/tmp/a", "a\\b", "C:a", "a\0b", "a\nb", "con"]
    + ["NUL.x", "com1", "a.", "what?", "a" * 201, "猫" * 90, "\ud800", "<b>", "conin$"],
)
def test_bad_names_are_refused(folder, name):
    before = everything(folder.parent)
    change = {"file": "cat.safetensors", "name": name}
    status, body = ask("POST", "/sepme/library/rename", json=change)
    assert status == 400
    assert "cannot be a file's name" in body["error"]
    assert everything(folder.parent) == before


def test_long_names_are_refused_in_bytes_and_asked_for_in_vain(folder):
    change = {"file": "cat.safetensors", "name": "猫" * 90}
    status, body = ask("POST", "/sepme/library/rename", json=change)
    assert (status, "it has 270 bytes (90 letters)" in body["error"]) == (400, True)
    change["name"] = "猫" * 66
    assert ask("POST", "/sepme/library/rename", json=change)[0] == 200
    assert keep_picture("猫" * 66 + ".safetensors", picture())[0] == 200
    for letters in ("a" * 300, "猫" * 100, "styles/" + "b" * 5000):
        file = f"{letters}.safetensors"
        for status, body in (
            ask("GET", "/sepme/library/hash", params={"file": file}),
            ask("GET", "/sepme/library/thumbnail", params={"file": file}),
            ask("POST", "/sepme/library/delete", json={"file": file}),
            ask("POST", "/sepme/library/rename", json={"file": file, "name": "mine"}),
        ):
            assert (status, "is not in models/sepme" in body["error"]) == (404, True)
            assert len(body["error"]) < 200


def test_renaming_never_replaces_anything(folder):
    write(folder, "rose", value=3.0)
    (folder / "bird.webp").write_bytes(b"somebody's picture")
    (folder / "cat.webp").write_bytes(b"the cat's")
    before = everything(folder)
    for name in ("rose", "bird", "cat"):
        change = {"file": "cat.safetensors", "name": name}
        status, body = ask("POST", "/sepme/library/rename", json=change)
        assert (status, "error" in body) == ((200, False) if name == "cat" else (409, True))
    assert everything(folder) == before


def test_deleting_moves_to_the_trash_and_keeps_what_is_there(folder):
    for value in (1.0, 2.0, 3.0):
        write(folder, "styles/dog", value=value)
        (folder / "styles" / "dog.webp").write_bytes(b"%d" % value)
        status, body = ask("POST", "/sepme/library/delete", json={"file": "styles/dog.safetensors"})
        assert status == 200
        assert body["trash"].startswith("trash/styles/dog")
        assert list(listed()) == ["cat.safetensors"]
    kept = everything(folder / "trash" / "styles")
    assert sorted(name for name in kept if name.endswith(".safetensors")) == [
        "dog (deleted 2).safetensors",
        "dog (deleted 3).safetensors",
        "dog.safetensors",
    ]
    assert kept["dog (deleted 3).webp"] == b"3"
    assert files.list_increments() == ["cat.safetensors"]


def thrown_away():
    status, body = ask("GET", "/sepme/library/trash")
    assert (status, body["version"]) == (200, 1)
    return {entry["trash"]: entry for entry in body["files"]}


def restore(trash):
    return ask("POST", "/sepme/library/restore", json={"trash": trash})


def test_what_was_deleted_can_be_restored_with_its_picture(folder):
    (folder / "styles" / "dog.jpg").write_bytes(picture(kind="JPEG"))
    before = everything(folder)
    (deleted,) = delete("styles/dog.safetensors")
    stat = (folder / deleted).stat()
    assert thrown_away()[deleted] == {
        "trash": "trash/styles/dog.safetensors",
        "file": "styles/dog.safetensors",
        "modified": stat.st_mtime,
        "size": stat.st_size,
    }
    (folder / "styles").rmdir()
    status, entry = restore(deleted)
    assert (status, entry["file"], entry["concept"]) == (200, "styles/dog.safetensors", "dog")
    assert entry["thumbnail"] is True
    assert everything(folder) == before
    assert deleted not in thrown_away()
    assert "styles/dog.safetensors" in files.list_increments()
    assert restore(deleted)[0] == 404


def delete(*names):
    return [ask("POST", "/sepme/library/delete", json={"file": n})[1]["trash"] for n in names]


def test_restoring_never_replaces_anything(folder):
    (first,) = delete("cat.safetensors")
    write(folder, "cat", value=2.0)
    (second,) = delete("cat.safetensors")
    assert first != second
    assert {thrown_away()[t]["file"] for t in (first, second)} == {"cat.safetensors"}
    write(folder, "cat", value=3.0)
    (folder / "cat.webp").write_bytes(b"somebody's picture")
    before = everything(folder)
    for deleted in (first, second):
        status, body = restore(deleted)
        assert (status, "Rename or delete that one first" in body["error"]) == (409, True)
    os.rename(folder / "cat.safetensors", folder / "tiger.safetensors")
    (folder / "cat.png").write_bytes(b"a picture of nobody, not in the way")
    (folder / second).with_suffix(".webp").write_bytes(b"its picture")
    assert restore(second)[0] == 409, "a picture of that name is kept as well"
    (folder / "cat.webp").unlink()
    assert restore(second)[0] == 200
    after = everything(folder)
    assert after["cat.safetensors"] == to_bytes(increment("cat", 2.0))
    assert after["cat.webp"] == b"its picture"
    assert after["tiger.safetensors"] == before["cat.safetensors"]


def test_a_name_that_another_folder_has_is_taken(folder, tmp_path, monkeypatch):
    paths, kinds = folder_paths.folder_names_and_paths["sepme"]
    (deleted,) = delete("cat.safetensors")
    write(tmp_path, "cat", value=2.0)
    write(tmp_path, "trash/rose")
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "sepme", ([*paths, str(tmp_path)], kinds)
    )
    assert restore(deleted)[0] == 409
    assert restore("trash/rose.safetensors")[0] == 200
    assert (tmp_path / "rose.safetensors").exists()


@pytest.mark.parametrize(
    "trash",
    ["cat.safetensors", "trash", "trash/", "trash/../cat.safetensors", "trash/no.safetensors"]
    + ["/etc/passwd", "cache/kept.safetensors", "../trash/old.safetensors", 3, None, "trash/a.webp"]
    + [
        "trash/" + "a" * 300 + ".safetensors",
        "trash/link.safetensors",
        "trash/in/secret.safetensors",
    ],
)
def test_only_what_is_in_the_trash_is_restored(folder, outside, trash):
    (folder / "trash" / "link.safetensors").symlink_to(outside)
    (folder / "trash" / "in").symlink_to(outside.parent)
    before = everything(folder.parent)
    status, body = restore(trash)
    assert status in (400, 403, 404)
    assert body["error"]
    assert everything(folder.parent) == before
    assert list(thrown_away()) == ["trash/old.safetensors"]
    assert restore("trash/old.safetensors")[0] == 200


def test_a_picture_that_cannot_be_moved_leaves_the_file_where_it_was(folder, monkeypatch):
    (folder / "cat.webp").write_bytes(b"the cat's")
    before = everything(folder)
    move = os.replace

    def refuse(old, new):
        if str(old).endswith(".webp"):
            raise PermissionError(13, "Permission denied")
        move(old, new)

    monkeypatch.setattr(library_changes.os, "replace", refuse)
    status, body = ask("POST", "/sepme/library/delete", json={"file": "cat.safetensors"})
    assert (status, "Permission denied" in body["error"]) == (403, True)
    assert everything(folder) == before


WATCHED = []  # where files were worked on, while a test looks


def watch(event, given):
    if WATCHED and event in ("open", "os.rename", "os.scandir", "os.mkdir", "os.listdir"):
        WATCHED.append((threading.current_thread(), event, str(given[0])))


sys.addaudithook(watch)


def test_no_request_works_on_files_in_the_event_loop(folder, monkeypatch):
    status = os.stat

    def stat(path, **given):
        WATCHED.append((threading.current_thread(), "os.stat", str(path)))
        return status(path, **given)

    file = {"file": "cat.safetensors"}
    digest = files.file_hash("cat.safetensors")
    (folder / "cat.webp").write_bytes(picture(kind="WEBP"))
    monkeypatch.setattr(os, "stat", stat)
    asked = [
        ("GET", "", {}),
        ("GET", "/hash", {"params": file}),
        ("GET", "/find", {"params": {"sha256": digest}}),
        ("GET", "/thumbnail", {"params": file}),
        ("POST", "/thumbnail", {"params": file, "data": picture(), "headers": PNG}),
        ("POST", "/rename", {"json": file | {"name": "tiger"}}),
        ("POST", "/delete", {"json": {"file": "tiger.safetensors"}}),
        ("GET", "/trash", {}),
        ("POST", "/restore", {"json": {"trash": "trash/tiger.safetensors"}}),
    ]
    for method, path, given in asked:
        WATCHED[:] = [(None, "start", "")]
        assert ask(method, f"/sepme/library{path}", **given)[0] == 200
        seen = [(t, e) for t, e, name in WATCHED if name.startswith(str(folder))]
        WATCHED.clear()
        assert seen, "it worked on files"
        assert not [e for t, e in seen if t is threading.main_thread()], path


STRANGE = ["../secret.safetensors", "/etc/passwd", "styles/../../secret.safetensors", "", "."]
STRANGE += ["C:/secret.safetensors", "..\\secret.safetensors", "styles//dog.safetensors", "cat"]
STRANGE += ["./cat.safetensors", "cat.safetensors/", "cat.safetensors\0", "\ud800.safetensors"]
STRANGE += [
    "cache/kept.safetensors",
    "trash/old.safetensors",
    "preserve/list.txt",
    ".x.safetensors",
]


@pytest.mark.parametrize("file", STRANGE)
def test_no_request_leads_out_of_the_library(folder, outside, file):
    before, secret = everything(folder.parent), outside.read_bytes()
    asked = [
        ask("POST", "/sepme/library/delete", json={"file": file}),
        ask("POST", "/sepme/library/rename", json={"file": file, "name": "mine"}),
    ]
    if "\ud800" not in file:  # no address can hold it
        asked += [
            ask("GET", "/sepme/library/thumbnail", params={"file": file}),
            ask("GET", "/sepme/library/hash", params={"file": file}),
            keep_picture(file, picture()),
        ]
    for status, body in asked:
        assert status in (400, 403, 404)
        assert body["error"]
    assert everything(folder.parent) == before
    assert outside.read_bytes() == secret


def test_absolute_names_of_real_files_are_refused(folder, outside):
    for file in (str(outside), os.path.relpath(outside, folder)):
        assert ask("POST", "/sepme/library/delete", json={"file": file})[0] == 400
        assert ask("GET", "/sepme/library/hash", params={"file": file})[0] == 400
    assert outside.exists()
    file = {"file": "cat.safetensors"}
    assert ask("GET", "/sepme/library/hash", params=file)[0] == 200


def test_the_library_lists_and_loads_what_the_host_lists(folder, outside):
    write(outside.parent, "shared/.deep/fox")
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent / "shared")
    os.rename(folder / "styles" / "dog.safetensors", folder / "styles" / "DOG.SafeTensors")
    write(folder, ".mine/bird")
    write(folder, ".git/x")
    folder_paths.filename_list_cache.clear()
    host_lists = folder_paths.get_filename_list("sepme")
    assert set(host_lists) - {"cache/kept.safetensors", "trash/old.safetensors"} == set(listed())
    assert files.list_increments() == list(listed())
    assert {name: entry["concept"] for name, entry in listed().items()} == {
        ".mine/bird.safetensors": "bird",
        "cat.safetensors": "cat",
        "link.safetensors": "secret",
        "linked/.deep/fox.safetensors": "fox",
        "styles/DOG.SafeTensors": "dog",
    }
    for name in files.list_increments():
        assert Load.validate_inputs(name) is True
        assert Load.execute(name, True, 1.0).result[0].names == (listed()[name]["concept"],)
        assert ask("GET", "/sepme/library/hash", params={"file": name})[0] == 200


def test_what_the_library_lists_can_be_changed_unless_it_is_linked(folder, outside):
    write(outside.parent, "shared/fox")
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent / "shared")
    os.rename(folder / "cat.safetensors", folder / "CAT.SAFETENSORS")
    before = everything(outside.parent)
    assert [n for n, entry in listed().items() if entry["linked"]] == [
        "link.safetensors",
        "linked/fox.safetensors",
    ]
    for file in ("link.safetensors", "linked/fox.safetensors"):
        for status, body in (
            ask("POST", "/sepme/library/delete", json={"file": file}),
            ask("POST", "/sepme/library/rename", json={"file": file, "name": "a"}),
            keep_picture(file, picture()),
        ):
            assert (status, "Change the file where it really lies" in body["error"]) == (403, True)
    assert everything(outside.parent) == before
    change = {"file": "CAT.SAFETENSORS", "name": "tiger.SafeTensors"}
    status, entry = ask("POST", "/sepme/library/rename", json=change)
    assert (status, entry["file"]) == (200, "tiger.safetensors")


def test_pictures_are_shown_through_links_if_they_are_pictures(folder, outside):
    (outside.parent / "p.png").write_bytes(picture())
    (folder / "cat.jpg").symlink_to(outside)
    (folder / "styles" / "dog.png").symlink_to(outside.parent / "p.png")
    for file, status in (("cat.safetensors", 404), ("styles/dog.safetensors", 200)):
        assert ask("GET", "/sepme/library/thumbnail", params={"file": file})[0] == status


def test_a_link_that_leads_nowhere_is_told_and_not_offered(folder, outside):
    (folder / "gone.safetensors").symlink_to(outside.parent / "nowhere")
    (folder / "self.safetensors").symlink_to(folder / "self.safetensors")
    problem = listed()["gone.safetensors"]["problem"]
    assert "It is a link to" in problem
    assert "nowhere, which is not there" in problem
    assert "link" in listed()["self.safetensors"]["problem"]
    assert files.list_increments() == ["cat.safetensors", "styles/dog.safetensors"]
    (outside.parent / "nowhere").write_bytes(outside.read_bytes())
    assert listed()["gone.safetensors"]["problem"] == ""
    assert "gone.safetensors" in files.list_increments()


def test_folders_are_read_again_only_when_they_changed(folder, outside, monkeypatch):
    (folder / "link.safetensors").symlink_to(outside)
    for place in (folder, folder / "styles"):
        os.utime(place, (1, 1))
    names = ["cat.safetensors", "link.safetensors", "styles/dog.safetensors"]
    assert files.list_increments() == names
    monkeypatch.setattr(os, "scandir", lambda _: pytest.fail("read again"))
    assert files.list_increments() == names
    os.rename(outside, outside.with_name("away"))
    assert files.list_increments() == [names[0], names[2]], "links are looked at every time"
    os.rename(outside.with_name("away"), outside)
    assert files.list_increments() == names
    monkeypatch.undo()
    write(folder, "styles/fox")
    assert "styles/fox.safetensors" in files.list_increments()
    os.utime(folder / "styles", (1, 1))
    assert "styles/fox.safetensors" in files.list_increments()
    (folder / "styles").rename(folder / "mine")
    assert "mine/fox.safetensors" in files.list_increments()


def test_a_folder_that_has_just_changed_is_not_trusted(folder):
    """A second change may leave its time as it is: here both are said to be of one moment."""
    now = time.time()
    for name in ("a", "b", "c"):
        write(folder, name)
        os.utime(folder, (now, now))
        assert f"{name}.safetensors" in files.list_increments()


def test_links_that_lead_back_end(folder):
    before = list(listed())
    for name in ("a", "b", "styles/c"):
        (folder / name).symlink_to(folder)
    (folder / "styles" / "d").symlink_to(folder / "styles")
    assert list(listed()) == before == files.list_increments()


def test_twins_of_macos_are_shown_nowhere(folder):
    for name in ("._cat.safetensors", "styles/._dog.safetensors", "preserve/._list.txt"):
        (folder / name).write_bytes(b"\x00\x05\x16\x07" + bytes(78))
    assert list(listed()) == ["cat.safetensors", "styles/dog.safetensors"]
    (combo,) = (i for i in Load.define_schema().inputs if i.id == "increment")
    assert list(combo.options) == ["cat.safetensors", "styles/dog.safetensors"]
    assert "list.txt" in preserve.list_preserve()
    assert "._list.txt" not in preserve.list_preserve()
    status, _ = ask("POST", "/sepme/library/delete", json={"file": "._cat.safetensors"})
    assert status == 400


def test_a_trash_that_leads_elsewhere_is_not_used(folder, outside):
    os.rename(folder / "trash", folder / "old")
    (folder / "trash").symlink_to(outside.parent)
    status, body = ask("POST", "/sepme/library/delete", json={"file": "styles/dog.safetensors"})
    assert (status, "is a link" in body["error"]) == (403, True)
    assert [p.name for p in outside.parent.iterdir()] == ["secret.safetensors"]
    (folder / "trash").unlink()
    assert ask("POST", "/sepme/library/delete", json={"file": "styles/dog.safetensors"})[0] == 200


def test_a_linked_model_folder_is_a_folder_like_any_other(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    kinds = folder_paths.folder_names_and_paths["sepme"][1]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "sepme", ([str(tmp_path / "link")], kinds)
    )
    assert list(listed()) == ["cat.safetensors", "styles/dog.safetensors"]
    assert ask("POST", "/sepme/library/delete", json={"file": "cat.safetensors"})[0] == 200
    assert (folder / "trash" / "cat.safetensors").exists()


def test_a_read_only_folder_says_so_and_stays_as_it_is(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    before = everything(folder)
    monkeypatch.setattr(library_changes.os, "replace", refuse)
    file = {"file": "cat.safetensors"}
    for status, body in (
        ask("POST", "/sepme/library/delete", json=file),
        ask("POST", "/sepme/library/rename", json=file | {"name": "mine"}),
        keep_picture("cat.safetensors", picture()),
    ):
        assert status == 403
        assert "Permission denied. Check the folder's permissions" in body["error"]
    assert everything(folder) == before
    monkeypatch.undo()
    assert keep_picture("cat.safetensors", picture())[0] == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ("{}", "application/json", 400),
        ('{"file": 3}', "application/json", 400),
        ('{"file": "cat.safetensors"}', "text/plain", 415),
    ],
)
def test_requests_that_cannot_be_read_are_refused(folder, body, kind, status):
    got, told = ask("POST", "/sepme/library/delete", data=body, headers={"Content-Type": kind})
    assert (got, bool(told["error"])) == (status, True)
    body = json.dumps({"file": "cat.safetensors"})
    headers = {"Content-Type": "application/json"}
    assert ask("POST", "/sepme/library/delete", data=body, headers=headers)[0] == 200


def test_a_file_that_is_gone_is_named(folder):
    for path in ("delete", "rename"):
        given = {"file": "gone.safetensors", "name": "a"}
        status, body = ask("POST", f"/sepme/library/{path}", json=given)
        assert (status, "'gone.safetensors' is not in models/sepme any more" in body["error"]) == (
            404,
            True,
        )


def test_saving_tells_the_page_name_and_hash(increments_folder):
    output = Save.execute(Stack.of([increment("cat")]), "styles", False)
    path = increments_folder / "styles" / "cat.safetensors"
    assert output.ui["sepme_saved"] == [
        {
            "file": "styles/cat.safetensors",
            "concept": "cat",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    ]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, "Got no concepts"),
        ({"concepts": ""}, "No concept is given"),
        ({"concepts": "a -> b -> c"}, "more than one '->'"),
        ({"method": "guess"}, "method"),
        ({"preserve_list": "../secret.txt"}, "is not in models/sepme"),
        ({"resolution": "64"}, "Got no resolution"),
    ],
)
def test_rows_that_nobody_can_read_are_refused_and_others_are_not(folder, sent, message):
    good = {"concepts": "cat", "protected_concepts": "", "preserve": "", "preserve_list": "none"}
    good |= {"method": "closed form", "mode": "exact", "resolution": 64, "templates": "{} style"}
    status, body = ask("POST", "/sepme/eraser", json=good)
    assert (status, body["version"], body["rows"], len(body["texts"])) == (200, 1, [], 32)
    before = everything(folder)
    status, body = ask("POST", "/sepme/eraser", json=good | sent if sent else {})
    assert status == 400
    assert message in body["error"]
    assert everything(folder) == before


def test_the_page_is_told_how_much_the_cache_holds_and_can_clear_it(increments_folder):
    folder = increments_folder / "cache"
    empty = {"version": 1, "bytes": 0, "limit": 10**9, "entries": 0, "folder": str(folder)}
    assert ask("GET", "/sepme/cache") == (200, empty)
    folder.mkdir(parents=True)
    (folder / "increment-a.safetensors").write_bytes(b"x" * 7)
    (folder / "run-b.json").write_bytes(b"{}")
    (folder / "notes.txt").write_bytes(b"mine")
    assert ask("GET", "/sepme/cache") == (200, empty | {"bytes": 9, "entries": 2})
    assert ask("POST", "/sepme/cache/clear", data=b"{}")[0] == 415  # as other sites' pages send
    assert ask("POST", "/sepme/cache/clear", json={}) == (200, {"freed": 9})
    assert ask("GET", "/sepme/cache") == (200, empty)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"], "what is not ours stays"
