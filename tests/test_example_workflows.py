"""The example workflows are tidy: readable without moving anything, and explained."""

import itertools
import json

import pytest

from launch.cache import REPOSITORY

FILES = sorted((REPOSITORY / "example_workflows").glob("*.json"))
HELP = REPOSITORY / "web" / "docs"
# What the page draws above a node, and the most it makes of one that is folded up.
TITLE, FOLDED_WIDTH = 30, 280

# Where a node keeps the size of what it draws.
SIZES = {
    "SepME_Compare": (9, 10),
    "SepME_Compute": (9,),
    "SepME_Eraser": (8,),
    "SepME_Size": (1, 2),
}

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def nodes(file):
    return json.loads(file.read_text(encoding="utf-8"))["nodes"]


def box(node):
    """Left, top, right and bottom of a node as drawn, its title included."""
    folded = node.get("flags", {}).get("collapsed")
    (left, top), (width, height) = node["pos"], node["size"]
    width, height = (FOLDED_WIDTH, 0) if folded else (width, height)
    return left, top - TITLE, left + width, top + height


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def contains(outer, inner):
    return all(outer[i] <= inner[i] for i in (0, 1)) and all(outer[i] >= inner[i] for i in (2, 3))


def test_no_node_covers_another(file):
    pairs = itertools.combinations(nodes(file), 2)
    covered = [(a["id"], b["id"]) for a, b in pairs if overlap(box(a), box(b))]
    assert covered == []


def test_every_node_but_the_note_lies_in_a_group(file):
    groups = [g["bounding"] for g in json.loads(file.read_text(encoding="utf-8"))["groups"]]
    frames = [(x, y, x + width, y + height) for x, y, width, height in groups]
    assert not any(overlap(a, b) for a, b in itertools.combinations(frames, 2))
    astray = [n["id"] for n in nodes(file) if not any(contains(f, box(n)) for f in frames)]
    assert astray == [n["id"] for n in nodes(file) if n["type"] == "MarkdownNote"]


def test_another_checkpoint_is_all_that_a_note_tells_to_change(file):
    (note,) = [n["widgets_values"][0] for n in nodes(file) if n["type"] == "MarkdownNote"]
    assert "Your own checkpoint" in note
    assert "Is *sepme_demo.safetensors* missing?" in note
    assert "Nothing else needs changing" in note


def test_pictures_have_the_size_of_whichever_model_is_loaded(file):
    sizes = [
        (n["id"], n["widgets_values"][at]) for n in nodes(file) for at in SIZES.get(n["type"], ())
    ]
    assert sizes
    assert [(node_id, size) for node_id, size in sizes if size] == []
    stock = {"EmptyLatentImage", "EmptySD3LatentImage", "ImageScaleBy"}
    assert not stock & {n["type"] for n in nodes(file)}


def test_a_note_says_where_to_put_the_checkpoint(file):
    notes = [n["widgets_values"][0] for n in nodes(file) if n["type"] == "MarkdownNote"]
    assert any("`models/checkpoints`" in note for note in notes)


def test_seeds_stay_the_same_from_run_to_run(file):
    seeded = ("KSampler", "SepME_Compute", "SepME_Compare")
    values = [n["widgets_values"] for n in nodes(file) if n["type"] in seeded]
    assert values
    assert all("fixed" in stored for stored in values)


def test_its_own_nodes_all_have_help(file):
    ours = {n["type"] for n in nodes(file) if n["type"].startswith("SepME_")}
    assert ours
    assert all((HELP / name / "en.md").is_file() for name in ours)


def test_it_has_a_thumbnail(file):
    assert file.with_suffix(".jpg").is_file()
