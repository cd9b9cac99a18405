"""The help pages say the same in every language, and call things as the page does."""

import json
import re
from collections import Counter

import pytest

from launch.cache import REPOSITORY

HELP = REPOSITORY / "web" / "docs"
LANGUAGES = sorted(path.name for path in (REPOSITORY / "locales").iterdir())
NODES = sorted(path.name for path in HELP.iterdir())

both = pytest.mark.parametrize("language", LANGUAGES)
each = pytest.mark.parametrize("node_id", NODES)


def read(node_id, language):
    return (HELP / node_id / f"{language}.md").read_text(encoding="utf-8")


def names(node_id, language):
    """What the page of a language calls a node's inputs and outputs, by what English calls them."""
    told = json.loads((REPOSITORY / "locales" / language / "nodeDefs.json").read_text("utf-8"))
    return {key: entry["name"] for key, entry in told[node_id]["inputs"].items()}


def code(text):
    """Everything that is typed as it stands: blocks first, then what is within a line."""
    blocks = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
    rest = re.sub(r"```\n.*?```", "", text, flags=re.DOTALL)
    return Counter([re.sub(r"^ +", "", b, flags=re.MULTILINE) for b in blocks]) + Counter(
        re.findall(r"`([^`\n]+)`", rest)
    )


def shape(text):
    """Levels of headings, list items and table rows with their columns, in order."""
    text = re.sub(r"```\n.*?```", "", text, flags=re.DOTALL)
    found = re.finditer(r"^(#+ |\|.*\|$| *- )", text, flags=re.MULTILINE)
    return [m[0].count("|") if m[0].startswith("|") else m[0].rstrip() for m in found]


def paragraphs(text):
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


@both
@each
def test_a_translation_has_the_same_headings_lists_tables_and_code(node_id, language):
    english, other = read(node_id, "en"), read(node_id, language)
    assert shape(other) == shape(english)
    assert code(other) == code(english)
    assert len(paragraphs(other)) == len(paragraphs(english)), "paragraphs are missing"


@both
@each
def test_a_translation_is_none_that_was_left_in_english(node_id, language):
    other = read(node_id, language)
    english = set(read(node_id, "en").splitlines())
    block = re.sub(r"```\n.*?```", "", other, flags=re.DOTALL)
    same = [line for line in block.splitlines() if len(line) > 12 and line in english]
    assert [line for line in same if not re.fullmatch(r"\|[-|]+\|", line)] == []


@both
@each
def test_a_translation_calls_node_and_inputs_as_the_page_does(node_id, language):
    told = json.loads((REPOSITORY / "locales" / language / "nodeDefs.json").read_text("utf-8"))
    other = read(node_id, language)
    assert other.splitlines()[0] == f"# {told[node_id]['display_name']}"
    english = set(re.findall(r"\*\*([^*]+)\*\*", read(node_id, "en")))
    spoken = set(re.findall(r"\*\*([^*]+)\*\*", other))
    named = {name for key, name in names(node_id, language).items() if key in english}
    assert named - spoken == set()
    every = {entry["display_name"] for entry in told.values()}
    ours = set(re.findall(r"\*(SepME [^*：]+)\*", other))
    assert ours - every <= {"SepME Remove"}, "its old name is told"
