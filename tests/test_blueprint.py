"""The blueprints are whole, and readable by every host, whatever encoding it opens them with."""

import json

import pytest

from launch.cache import REPOSITORY

FILES = sorted((REPOSITORY / "subgraphs").glob("*.json"))

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file):
    """The one node that the page adds, and the graph within it."""
    blueprint = json.loads(file.read_text(encoding="ascii"))
    (node,), (inside,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    return node, inside


def sockets(owner):
    return [[(s["name"], s["type"]) for s in owner[kind]] for kind in ("inputs", "outputs")]


def test_the_node_is_named_as_the_file_and_shows_what_its_graph_has(file):
    node, inside = read(file)
    assert node["title"] == inside["name"] == file.stem
    assert node["type"] == inside["id"]
    assert sockets(node) == sockets(inside)


def test_every_link_is_known_at_both_ends(file):
    _, inside = read(file)
    nodes = {node["id"]: node for node in inside["nodes"]}
    for link in inside["links"]:
        if link["origin_id"] in nodes:
            given = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]["links"]
        else:
            given = inside["inputs"][link["origin_slot"]]["linkIds"]
        assert link["id"] in given
        if link["target_id"] in nodes:
            taken = [nodes[link["target_id"]]["inputs"][link["target_slot"]]["link"]]
        else:
            taken = inside["outputs"][link["target_slot"]]["linkIds"]
        assert link["id"] in taken


def test_it_is_explained_and_computes_the_same_from_run_to_run_on_every_model(file):
    _, inside = read(file)
    values = {node["type"]: node["widgets_values"] for node in inside["nodes"]}
    assert "SepME Save" in values["MarkdownNote"][0]
    *_, resolution, _, after_run = values["SepME_Compute"]
    assert (resolution, after_run) == (0, "fixed")
