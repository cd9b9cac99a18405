"""What files are called: distinct for distinct concepts, readable, possible on every system."""

import itertools
import os
import unicodedata

import pytest
from sepme_pack.nodes.file_names import LONGEST, file_stem, refusal
from sepme_pack.sepme_core.concepts import name_key

PLAIN = ["cat", "Van Gogh", "C++", "C#", "हिन्दी", "Cézanne", "Dr. Seuss", "cat (orange)", "猫"]
PLAIN += ["🐱", "🐶", "#metoo", "[artist] style", "rock'n'roll", "50% grey", "-x"]
PLAIN += ["👩\u200d🎨", "نمی\u200cخواهم"]
STRANGE = ["con", "NUL", "nul.x", "COM1", "com²", "Lpt9.tar", "AC/DC", "AC\\DC", "AC:DC", "who?"]
STRANGE += [
    "*",
    "???",
    "..",
    ".",
    "...a",
    "a.",
    "<b>",
    "a\nb\x00",
    "\ud800",
    "x\u202egnp",
    "\u200d",
]
STRANGE += ["a|b", "a" * 201, "a" * 300, "b" + "a" * 300, "猫" * 90, "猫" * 91, "é" * 5000]
STRANGE += ["👩\u200d🎨" * 40]
LETTERS = 'aA.é/\\:?*"<>| _-#+🐱ी\u200d\x00\ud800'


def test_ordinary_names_are_kept_as_they_are():
    assert [file_stem(name) for name in PLAIN] == PLAIN


@pytest.mark.parametrize("name", [*PLAIN, *STRANGE])
def test_what_is_made_of_a_name_can_be_a_files_name_everywhere(name, tmp_path):
    stem = file_stem(name)
    assert refusal(stem) == ""
    assert file_stem(stem) == stem, "a file that is saved under its own name keeps it"
    (tmp_path / f"{stem} (99).safetensors").write_bytes(b"")
    assert len(os.fsencode(stem)) <= LONGEST


def test_distinct_concepts_have_distinct_files():
    words = map("".join, itertools.product(LETTERS, repeat=3))
    names = {name_key(file_key): file_key for file_key in [*PLAIN, *STRANGE, *words]}
    files = {}
    for key, name in names.items():
        if not key:
            continue
        other = files.setdefault(file_stem(name).casefold(), name)
        assert unicodedata.normalize("NFC", name_key(other)) == unicodedata.normalize("NFC", key)
    assert len(files) > 5000


def test_one_concept_has_one_file_however_it_is_typed():
    for one, same in [
        ("Cézanne", "Ce\u0301zanne"),
        ("Van Gogh", "  Van   Gogh\u3000"),
        ("AC/DC", "AC/DC "),
    ]:
        assert file_stem(one) == file_stem(same)
    assert file_stem("ac/dc").casefold() == file_stem("AC/DC").casefold()
    assert file_stem("AC/DC") == "AC_DC-cacecbbb"


@pytest.mark.parametrize("name", STRANGE)
def test_what_cannot_be_a_name_is_told_why(name):
    assert refusal(name)
    assert refusal("cat") == ""


def test_the_reason_counts_bytes_where_letters_would_mislead():
    assert refusal("猫" * 90) == "it has 270 bytes (90 letters), expected up to 200"
    assert refusal("a" * 200) == ""
    assert "device" in refusal("con")
    assert "'?'" in refusal("who?")
