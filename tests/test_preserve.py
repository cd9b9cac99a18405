"""Preserve lists: what is read, what is refused, and the second moment in bounded memory."""

import re
import weakref
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pytest
import torch

from sepme_core import preserve
from sepme_core.embeddings import unit_rows
from sepme_core.errors import ConceptError
from sepme_core.preserve import (
    MAX_LENGTH,
    MAX_LINES,
    N_SAMPLE,
    general_captions,
    list_digest,
    moment_without_names,
    parse_preserve,
    read_preserve,
    second_moment,
    without_names,
)
from tests.toy import D_TEXT, ToyEncoder

ROOT = Path(preserve.__file__).parent.parent
CAPTIONS = tuple(f"a {a} {b}" for a in ("red", "tall", "wet") for b in ("tree", "boat", "lamp"))
EPS = torch.finfo(torch.float64).eps


@pytest.fixture
def write(tmp_path):
    """Makes a file of bytes."""

    def written(data):
        path = tmp_path / "list.txt"
        path.write_bytes(data)
        return path

    return written


def close(one, other):
    return torch.allclose(one, other, rtol=0, atol=1e3 * EPS)


def test_captions_keep_their_order_and_count_once(write):
    text = "\n# a comment\n  a boat \r\na tree\na boat\n\n#no caption\nA boat\n"
    assert parse_preserve(text) == ("a boat", "a tree", "A boat")
    assert read_preserve(write(text.encode())) == parse_preserve(text)


def test_empty_field_preserves_nothing_while_an_empty_file_is_a_mistake(write):
    assert parse_preserve(" \n# only a comment\n") == ()
    for data in (b"", b"\xef\xbb\xbf", b" \n# only a comment\n"):
        with pytest.raises(ConceptError, match=r"'list.txt' holds no caption.*choose 'none'"):
            read_preserve(write(data))
    assert read_preserve(write(b"x")) == ("x",)


def test_byte_order_mark_of_utf8_is_no_part_of_the_first_caption(write):
    assert read_preserve(write(b"\xef\xbb\xbfa caf\xc3\xa9\n")) == ("a café",)
    assert read_preserve(write(b"\xef\xbb\xbf# comment\na boat")) == ("a boat",)


def test_another_encoding_is_refused_with_line_and_byte(write):
    wanted = r"'list.txt' is not UTF-8: line 2 has the byte 0xE9 at place 6.*save it .*UTF-8"
    with pytest.raises(ConceptError, match=wanted):
        read_preserve(write("a boat\na café\n".encode("latin-1")))
    assert read_preserve(write("a boat\na café\n".encode())) == ("a boat", "a café")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_two_byte_encodings_are_named(write, encoding):
    with pytest.raises(ConceptError, match=r"UTF-16.*save it again with the encoding UTF-8"):
        read_preserve(write("a boat\na tree\n".encode(encoding)))


@pytest.mark.parametrize("data", [b"PK\x03\x04\x00\x00", b"text\n" * 9 + b"\0\0", bytes(10**5)])
def test_binary_files_are_refused(write, data):
    with pytest.raises(ConceptError, match="'list.txt' is no text: line 1?.* has a zero byte"):
        read_preserve(write(data))


def test_list_of_a_million_lines_is_refused_without_reading_on(write, monkeypatch):
    asked = []
    decode = preserve._utf8
    monkeypatch.setattr(preserve, "_utf8", lambda *given: asked.append(0) or decode(*given))
    wanted = rf"'list.txt' has more than {MAX_LINES} lines.*take a sample"
    with pytest.raises(ConceptError, match=wanted):
        read_preserve(write(b"a boat\n" * 10**6))
    assert len(asked) == MAX_LINES + 1
    with pytest.raises(ConceptError, match=f"The preserve field has more than {MAX_LINES} lines"):
        parse_preserve("a boat\n" * 10**6)


def test_list_of_just_as_many_lines_as_allowed_is_read(write):
    text = "".join(f"boat {i}\n" for i in range(MAX_LINES))
    assert len(read_preserve(write(text.encode()))) == MAX_LINES
    assert len(parse_preserve(text)) == MAX_LINES


@pytest.mark.parametrize("letter", ["x", "猫", "🐈"])
def test_line_is_refused_beyond_its_longest(write, letter):
    longest = letter * MAX_LENGTH
    assert read_preserve(write(f"a\n{longest}\r\nb".encode())) == ("a", longest, "b")
    assert parse_preserve(longest) == (longest,)
    wanted = f"Line 2 of the preserve list 'list.txt' is longer than {MAX_LENGTH} characters"
    for end in ("", "\n", letter * 10**6):
        with pytest.raises(ConceptError, match=wanted):
            read_preserve(write(f"a\n{longest}{letter}{end}".encode()))
    with pytest.raises(ConceptError, match="Line 1 of the preserve field is longer"):
        parse_preserve(longest + letter)


def test_what_is_no_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(ConceptError, match=r"'gone.txt' cannot be read: No such file"):
        read_preserve(tmp_path / "gone.txt")
    with pytest.raises(ConceptError, match="cannot be read"):
        read_preserve(tmp_path)


def test_second_moment_in_batches_equals_that_of_all_rows_at_once():
    encode = ToyEncoder(blur=0.5)
    sampled = ((p.embeddings, *p.sample()) for p in encode(CAPTIONS))
    rows = [unit_rows(e[which]) * weights[:, None] for e, which, weights in sampled]
    stacked = torch.cat(rows)
    wanted = stacked.T @ stacked / len(CAPTIONS)
    for batch in (1, 2, 4, len(CAPTIONS), 100):
        moment = second_moment(CAPTIONS, encode, batch=batch)
        assert close(moment.matrix, wanted)
        assert moment.n_prompts == len(CAPTIONS)
    assert not close(second_moment(CAPTIONS[1:], encode).matrix, wanted)


def test_second_moment_is_symmetric_and_weighs_padding_as_one_token():
    encode = ToyEncoder()
    matrix = second_moment(CAPTIONS, encode).matrix
    assert matrix.dtype == torch.float64
    assert matrix.shape == (D_TEXT, D_TEXT)
    assert close(matrix, matrix.T)
    assert float(torch.linalg.eigvalsh(matrix)[0]) >= -D_TEXT * EPS
    n_tokens = [p.n_words + 1 for p in encode(CAPTIONS)]  # unit rows: the trace counts them
    assert float(matrix.trace()) == pytest.approx(sum(n_tokens) / len(CAPTIONS))


def test_order_of_the_captions_does_not_matter():
    encode = ToyEncoder(blur=0.5)
    there = second_moment(CAPTIONS, encode, batch=2).matrix
    assert close(second_moment(CAPTIONS[::-1], encode, batch=2).matrix, there)
    assert not close(second_moment((*CAPTIONS, "a dog"), encode, batch=2).matrix, there)


class Watched(ToyEncoder):
    """Knows how many of the prompts it has encoded are still in memory."""

    def __init__(self):
        super().__init__()
        self.alive, self.most, self.asked = weakref.WeakSet(), 0, []

    def __call__(self, prompts):
        self.asked.append(len(prompts))
        encoded = super().__call__(prompts)
        self.alive.update(encoded)
        self.most = max(self.most, len(self.alive))
        return encoded


def test_memory_does_not_grow_with_the_list():
    def most(n):
        encode = Watched()
        second_moment([f"boat {i}" for i in range(n)], encode, batch=4)
        assert sum(encode.asked) == n
        assert max(encode.asked) == 4
        assert not encode.alive
        return encode.most

    assert most(200) == most(40) == 4
    held = Watched()
    kept = [held(CAPTIONS[:4]), held(CAPTIONS[4:])]
    assert held.most == len(CAPTIONS) == sum(map(len, kept)), "what is held would be counted"


def test_encoder_that_remembers_is_asked_to_forget():
    class Remembering(ToyEncoder):
        def __call__(self, prompts):
            raise AssertionError(f"would remember {prompts}")

        def once(self, prompts):
            return super().__call__(prompts)

    wanted = second_moment(CAPTIONS, ToyEncoder()).matrix
    assert torch.equal(second_moment(CAPTIONS, Remembering()).matrix, wanted)


def test_taking_named_captions_out_of_the_whole_equals_leaving_them_out():
    encode = ToyEncoder(blur=0.5)
    captions = (*(f"a red boat {i}" for i in range(3 * N_SAMPLE)), *CAPTIONS, "two foxes")
    asked = []

    def moment_of(captions):
        asked.append(captions)
        return second_moment(captions, encode)

    for names in (["boat 0", "boat 6", "lamp"], ["fox", "lamp"]):
        wanted = second_moment(without_names(captions, names), encode)
        found = moment_without_names(captions, names, moment_of, encode)
        assert close(found.matrix, wanted.matrix)
        assert found.n_prompts == wanted.n_prompts < len(captions)
        kept = [p.text for p in found.sample]
        assert kept
        assert without_names(kept, names) == tuple(kept)
    assert asked == [captions, captions], "the whole list is the same for all concepts"
    whole = moment_without_names(captions, ["whale"], moment_of, encode)
    assert torch.equal(whole.matrix, second_moment(captions, encode).matrix)


def test_where_most_captions_name_the_concept_the_others_are_looked_at_alone():
    encode = ToyEncoder(blur=0.5)
    moment = partial(second_moment, encode=encode)
    found = moment_without_names(CAPTIONS, ["boat", "lamp"], moment, encode)
    assert torch.equal(found.matrix, moment(CAPTIONS[::3]).matrix)
    assert len(found.sample) == 3
    assert moment_without_names(CAPTIONS, ["a"], moment, encode) is None
    assert moment_without_names((), ["a"], moment, encode) is None


def test_progress_counts_captions_and_ends_at_all_of_them():
    seen = []
    second_moment(CAPTIONS, ToyEncoder(), seen.append, batch=4)
    assert [(at.step, at.max_steps, at.unit) for at in seen] == [
        (n, 9, "captions") for n in (4, 8, 9)
    ]


def test_raising_from_progress_cancels_at_once():
    class Stop(BaseException):
        pass

    def stop(_):
        raise Stop

    encode = ToyEncoder()
    with pytest.raises(Stop):
        second_moment(CAPTIONS, encode, stop, batch=2)
    assert encode.n_calls == 1


def test_second_moment_of_nothing_is_refused():
    with pytest.raises(ConceptError, match="no caption to preserve"):
        second_moment((), ToyEncoder())


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("cat", "a cat"),
        ("cat", "two CATS, asleep"),
        ("Cats", "one cat"),
        ("cat", "the cat's tail"),
        ("fox", "foxes at night"),
        ("glass", "glasses on a table"),
        ("berry", "a bowl of berries"),
        ("Van Gogh", "sky, van  gogh style"),
        ("T-shirt", "t-shirts on a line"),
        ("straße", "eine STRASSE"),
    ],
)
def test_caption_that_names_the_concept_is_left_out(name, caption):
    assert without_names(["a boat", caption, "a tree"], [name]) == ("a boat", "a tree")


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("cat", "a catalogue"),
        ("cat", "a wildcat"),
        ("art", "a party"),
        ("Van Gogh", "a van on the road"),
        ("apple pie", "an apple and a pie"),
        ("s", "the sea"),
        ("", "anything"),
        ("!", "help!"),
    ],
)
def test_caption_that_only_resembles_the_name_stays(name, caption):
    assert without_names([caption], [name]) == (caption,)


def test_one_name_of_many_is_enough_to_leave_a_caption_out():
    assert without_names(CAPTIONS, []) == CAPTIONS
    assert without_names(CAPTIONS, ["boat", "lamp"]) == CAPTIONS[::3]


def test_general_list_is_long_and_varied():
    captions = general_captions()
    assert len(captions) >= 400
    words = {w for c in captions for w in re.findall(r"[a-z]+", c.casefold())}
    assert len(words) >= 1500
    assert any("masterpiece" in c for c in captions)
    assert any("bad anatomy" in c for c in captions)
    assert min(map(len, captions)) < 10 < 100 < max(map(len, captions))


def test_general_list_fits_the_window_of_a_text_encoder():
    """75 tokens of CLIP; hardly any English word here takes more than two."""
    assert all(len(re.findall(r"\w+|[^\w\s]", c)) <= 45 for c in general_captions())


def test_general_list_is_part_of_the_installed_pack():
    path = preserve._GENERAL.relative_to(ROOT).as_posix()
    lines = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    ignored = [line.removeprefix("/") for line in lines]
    assert "tests/" in ignored
    assert not [i for i in ignored if path.startswith(i) or fnmatch(path, i)]


def test_few_captions_spread_over_the_list_are_kept_for_calibration():
    captions = [f"caption {i}" for i in range(3 * N_SAMPLE)]
    kept = [p.text for p in second_moment(captions, ToyEncoder()).sample]
    assert kept == captions[::3]
    assert [p.text for p in second_moment(captions[:5], ToyEncoder()).sample] == captions[:5]


def test_lists_are_told_apart_by_their_digest():
    assert list_digest(["a", "b"]) == list_digest(("a", "b")) != list_digest(["b", "a"])
    assert list_digest([]) == ""
