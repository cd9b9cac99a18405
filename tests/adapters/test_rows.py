"""What the rows of a text widget may look like."""

import json

import pytest
from sepme_pack.nodes.concept_rows import concept_rows, idle_rows
from sepme_pack.nodes.rows import Row, parse_rows
from sepme_pack.sepme_core.concepts import Concept
from sepme_pack.sepme_core.errors import ConceptError
from sepme_pack.sepme_core.spelling import name_key

from launch.cache import REPOSITORY

TYPED = json.loads((REPOSITORY / "tests" / "spelling_cases.json").read_text(encoding="utf-8"))

FULL = {"file": "a.safetensors", "on": False, "strength": 0.5, "start": 0.2, "end": 0.8}


def test_the_page_writes_versioned_rows_and_keeps_presets_beside_them():
    state = {"version": 1, "rows": [FULL, {"file": "b.safetensors"}], "presets": {"x": [FULL]}}
    assert parse_rows(json.dumps(state)) == (
        Row("a.safetensors", False, 0.5, 0.2, 0.8),
        Row("b.safetensors", True, 1.0, 0.0, 1.0),
    )


def test_a_row_may_say_which_concept_its_file_came_from():
    given = {**FULL, "sha256": "AB", "erases": " cat | kitten -> dog "}
    (row,) = parse_rows(json.dumps([given]))
    assert (row.sha256, row.erases) == ("ab", "cat | kitten -> dog")
    with pytest.raises(ConceptError, match="Row 1.*: erases is 3"):
        parse_rows(json.dumps([{**FULL, "erases": 3}]))


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "rows": [{"file": "a", "on": false, "strength": 0.5, "later": [1]}]}',
        '{"rows": [{"file": "a", "on": false, "strength": 0.5}]}',
        '[{"name": "a", "enabled": false, "strength": 0.5, "start_percent": 0}]',
        '{"version": 1, "rows": {"a": {"on": false, "strength": 0.5}}}',
        '{"a": {"enabled": false, "strength": 0.5, "end": null}}',
        "a 0.5 off",
        "# the first\n\n  a   off .5  ",
        '"a" 0.5 0-1 off',
    ],
)
def test_simpler_and_older_shapes_say_the_same(text):
    assert parse_rows(text) == (Row("a", on=False, strength=0.5),)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("{}", []),
        ("[]", []),
        ('{"version": 1, "presets": {"a": []}}', []),
        ('["a", ["b", 0.5], ["c", false]]', [Row("a"), Row("b", True, 0.5), Row("c", False)]),
        ('{"a": true, "b": false, "c": -1}', [Row("a"), Row("b", False), Row("c", True, -1.0)]),
        ("a b 7.safetensors 0.5", [Row("a b 7.safetensors", True, 0.5)]),
        ('Catch 22\n"Catch 22" 0.5', None),
        ('"Catch 22" 0.5', [Row("Catch 22", True, 0.5)]),
        (
            "Van Gogh 0.1-.9\ncat -0.5",
            [Row("Van Gogh", start=0.1, end=0.9), Row("cat", True, -0.5)],
        ),
        ('[{"file": "a", "sha256": "AB"}]', [Row("a", sha256="ab")]),
    ],
)
def test_rows_are_read_in_order(text, rows):
    if rows is None:
        with pytest.raises(ConceptError, match="put the name in quotes"):
            parse_rows(text)
    else:
        assert list(parse_rows(text)) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"file": "a"}', "no valid JSON.*line 1 column 15.*plain lines"),
        ("[" * 20000, "no valid JSON"),
        ('{"version": 2, "rows": []}', "version 2; this version of SepME reads up to 1"),
        ('["a", {"file": "b", "strength": 9}]', "Row 2: strength is 9, expected between -4 and 4"),
        ('["a", {"file": "b", "strength": NaN}]', "Row 2: strength is nan"),
        ('{"b": 1' + "0" * 400 + "}", "Row 1, 'b': strength is inf"),
        ('{"b": -1' + "0" * 400 + "}", "Row 1, 'b': strength is -inf"),
        ("b 0--1", "Line 1, 'b 0--1': start is 0 and end -1"),
        ("b 0.5 " + "1" * 20000, "Line 1: 1111.* has 20000 letters, expected an ordinary number"),
        ('[{"file": "b", "strength": "1"}]', "Row 1: strength is '1', expected such as 1.0"),
        ('[{"file": "b", "on": "yes"}]', "on is 'yes', expected such as True"),
        ('[{"file": "b", "start": 0.9, "end": 0.1}]', "Row 1: start is 0.9 and end 0.1"),
        ('[{"on": true}]', "Row 1: it names nothing"),
        ("[3]", "Row 1: it names nothing"),
        ("[null]", "Row 1: got None"),
        ("a\n\nb 0.9-0.1", "Line 3, 'b 0.9-0.1': start is 0.9"),
        ("b 0-2", "Line 1, 'b 0-2': start is 0 and end 2"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text, message):
    with pytest.raises(ConceptError, match=f"(?s){message}"):
        parse_rows(text)


N = 100_000  # letters; work that grew with their square would take minutes


@pytest.mark.parametrize(
    "text",
    [
        "cat " + "1" * N,
        "cat " + "1" * N + "x",
        "cat " + "1" * N + "-" + "1" * N,
        "cat " + "." * N,
        "cat " + "-1" * N,
        "cat" + " 1" * N,
        "cat" + " 1" * N + " x",
        '"' + "a" * N,
        '"a" ' * N,
        "a " * N + "x.safetensors " * N,
        '{"cat": ' + "1" * N + "}",
        '{"cat": 0.' + "1" * N + "}",
        '[["cat", ' + "1" * 4000 + "]]",
        '{"cat": "' + "1" * N + '"}',
        '{"' + "1" * N + '": 9}',
        "[" + "1," * N + "1]",
    ],
    ids=lambda text: f"{text[:8]}-{len(text)}",
)
def test_whatever_is_typed_is_read_or_refused_in_one_go(text):
    try:
        parse_rows(text)
    except ConceptError as error:
        assert len(str(error)) < 500


def test_a_thousand_rows_are_read():
    state = {"version": 1, "rows": [FULL] * 1000}
    assert len(parse_rows(json.dumps(state))) == 1000


@pytest.mark.parametrize("case", TYPED["rows"], ids=lambda case: case["text"])
def test_rows_are_read_as_people_type_them(case):
    rows = parse_rows(case["text"])
    expected = [[name_key(row[0]), *row[1:]] for row in case["rows"]]
    assert [[name_key(r.key), r.on, r.strength, r.start, r.end] for r in rows] == expected


@pytest.mark.parametrize(
    "name", ["1. cat", "- _cat_ (new)", "C\u0327a", "Ca\u0301t", "caf\u00e9\u00a0noir", "a # b"]
)
def test_a_file_in_quotes_is_named_as_it_is_typed(name):
    given = f'"{name}.safetensors" 0.5\n"2. dog.safetensors"'
    assert [row.key for row in parse_rows(given)] == [f"{name}.safetensors", "2. dog.safetensors"]


def test_files_whose_names_count_up_keep_their_numbers():
    (one, two) = parse_rows("1. cat.safetensors\n2. dog.safetensors 0.5")
    assert (one.key, two.key) == ("1. cat.safetensors", "2. dog.safetensors")


@pytest.mark.parametrize(
    "text", ["Ce\u0301zanne off", '{"Ce\u0301zanne": false}', "(c\u00e9zanne) off"]
)
def test_a_row_switches_its_concept_however_it_is_spelt(text):
    (row, other) = concept_rows([Concept("C\u00e9zanne"), Concept("cat")], parse_rows(text))
    assert (row.row.on, other.row.on) == (False, True)


def test_a_row_that_would_change_something_and_is_for_no_concept_is_told():
    concepts = [Concept("C\u00e9zanne"), Concept("cat", ("kitten",))]
    told = idle_rows(concepts, parse_rows("Cezanne off\ncat off\ndog\nkitten off\nbird 0.5"))
    assert "no line of the concepts begins so: 'Cezanne', 'kitten', 'bird'. Write" in told
    assert idle_rows(concepts, parse_rows("Ce\u0301zanne off\nCAT 0.5\ndog")) == ""
    many = idle_rows(concepts, parse_rows("\n".join(f"thing{n}x off" for n in range(9))))
    assert "and 4 more" in many
