"""Other languages say everything that the nodes say."""

import asyncio
import json

import pytest
from sepme_pack import comfy_entrypoint

from launch.cache import REPOSITORY

LOCALES = sorted((REPOSITORY / "locales").iterdir())
SIGNS = set("|{}@")  # the page's translator reads them as its own


def schemas():
    async def found():
        return await (await comfy_entrypoint()).get_node_list()

    return [node.define_schema() for node in asyncio.run(found())]


def texts(value):
    return [value] if isinstance(value, str) else [t for v in value.values() for t in texts(v)]


@pytest.mark.parametrize("locale", LOCALES, ids=lambda path: path.name)
def test_every_node_input_and_output_is_translated_and_nothing_else(locale):
    told = json.loads((locale / "nodeDefs.json").read_text(encoding="utf-8"))
    assert told.keys() == {schema.node_id for schema in schemas()}
    for schema in schemas():
        node = told[schema.node_id]
        assert node.keys() == {"display_name", "description", "inputs", "outputs"}
        assert node["inputs"].keys() == {given.id for given in schema.inputs}
        assert node["outputs"].keys() == set(map(str, range(len(schema.outputs))))
        for entry in (*node["inputs"].values(), *node["outputs"].values()):
            assert entry.keys() == {"name", "tooltip"}


@pytest.mark.parametrize("locale", LOCALES, ids=lambda path: path.name)
def test_no_translation_is_empty_or_read_as_a_pattern(locale):
    for file in locale.glob("*.json"):
        for text in texts(json.loads(file.read_text(encoding="utf-8"))):
            assert text.strip()
            assert not SIGNS & set(text), text
