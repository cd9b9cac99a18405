"""The node that suggests what to protect, on the host's own text encoder."""

import comfy.model_management
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import cache, files, name_vectors
from sepme_pack.nodes.neighbours import Neighbours
from sepme_pack.sepme_core.concepts import ConceptSet
from sepme_pack.sepme_core.neighbours import things
from sepme_pack.sepme_core.text_fields import parse_concepts, parse_lines
from server import PromptServer

from tests.adapters import models


@torch.inference_mode()
def run(clip, concepts="cat | kitten -> dog\nrose", count=5):
    """As the host runs a node."""
    PromptServer.instance.told.clear()
    with CurrentNodeContext("prompt", "1:2"):
        return Neighbours.execute(clip, concepts, count)


@pytest.fixture
def encoded(narrow_clip, increments_folder, monkeypatch):
    """Every batch that goes through the text encoder, none of which is known yet."""
    name_vectors._IN_MEMORY.clear()
    batches, encode = [], narrow_clip.encode_from_tokens

    def counted(tokens, *args, **kwargs):
        batches.append(len(next(iter(tokens.values()))))
        return encode(tokens, *args, **kwargs)

    monkeypatch.setattr(narrow_clip, "encode_from_tokens", counted)
    return batches


def test_the_names_come_as_lines_to_protect_and_by_concept_for_the_page(narrow_clip, encoded):
    output = run(narrow_clip)
    told = output.ui["sepme_neighbours"]
    assert [each["concept"] for each in told] == ["cat", "rose"]
    for each in told:
        similarities = [n["similarity"] for n in each["names"]]
        assert len(similarities) == 5
        assert similarities == sorted(similarities, reverse=True)
    (text,) = output.result
    assert parse_lines(text) == tuple(dict.fromkeys(n["name"] for e in told for n in e["names"]))
    concepts = parse_concepts("cat | kitten -> dog\nrose")
    assert ConceptSet(concepts, protected_concepts=parse_lines(text))


def test_the_node_tells_of_its_run_as_others_do(narrow_clip):
    output = run(narrow_clip)
    (state,), (report,) = output.ui["sepme_state"], output.ui["sepme_report"]
    n_names = len(output.result[0].splitlines())
    assert state == {"level": "ok", "headline": f"{n_names} names suggested", "margin": None}
    assert report.startswith("cat: ")


def test_the_names_stand_on_the_node_where_there_is_no_page(narrow_clip):
    first = run(narrow_clip).ui["sepme_neighbours"][0]
    node_id, said = PromptServer.instance.told[-1]
    assert node_id == "1:2"
    assert said.splitlines()[0] == f"cat: {', '.join(n['name'] for n in first['names'])}"


def test_the_list_is_encoded_once_for_every_text_encoder(narrow_clip, encoded):
    names = run(narrow_clip).result
    assert sum(encoded) > 900
    encoded.clear()
    assert run(narrow_clip).result == names
    assert encoded == []
    run(narrow_clip, "house")
    assert sum(encoded) < 10  # what was left out before
    encoded.clear()
    shorter = narrow_clip.clone()
    shorter.clip_layer(-2)
    monkey = shorter.encode_from_tokens
    shorter.encode_from_tokens = lambda t: encoded.append(len(next(iter(t.values())))) or monkey(t)
    run(shorter)
    assert sum(encoded) > 900


def test_cancelling_keeps_what_is_encoded(narrow_clip, encoded, monkeypatch):
    check = comfy.model_management.throw_exception_if_processing_interrupted

    def interrupted():
        if len(encoded) >= 10:
            raise comfy.model_management.InterruptProcessingException

    module = comfy.model_management
    monkeypatch.setattr(module, "throw_exception_if_processing_interrupted", interrupted)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(narrow_clip)
    assert len(encoded) == 10
    monkeypatch.setattr(module, "throw_exception_if_processing_interrupted", check)
    run(narrow_clip)
    assert sum(encoded) <= len(things()) + 16, "at most one batch is done again"


def test_after_a_restart_nothing_is_encoded_again_that_can_be_read(narrow_clip, encoded):
    names = run(narrow_clip, "Mona Lisa").result
    name_vectors._IN_MEMORY.clear()
    encoded.clear()
    assert run(narrow_clip, "Mona Lisa").result == names
    assert sum(encoded) == 1, "what was typed is not written down"
    (path,) = files.cache_folder().glob("names-*.safetensors")
    assert b"Mona Lisa" not in path.read_bytes()
    path.write_bytes(path.read_bytes()[:100])
    name_vectors._IN_MEMORY.clear()
    assert run(narrow_clip, "Mona Lisa").result == names
    assert sum(encoded) > 900


def test_the_vectors_are_cleared_with_the_cache(narrow_clip, encoded):
    run(narrow_clip)
    assert cache.state(files.cache_folder())["entries"] == 1
    assert cache.clear(files.cache_folder()) > 900 * 64 * 4


def test_the_encodings_of_few_encoders_are_kept():
    for seed in range(3):
        name_vectors.NameVectors(models.clip("narrow", seed=seed))
    assert len(name_vectors._IN_MEMORY) == 2


@pytest.mark.parametrize(
    ("concepts", "message"), [("", "Write at least one"), ("cat -> black cat", "anchor")]
)
def test_what_cannot_be_read_is_refused_before_anything_runs(concepts, message):
    assert message in Neighbours.validate_inputs(concepts=concepts)


def test_linked_text_is_not_known_yet():
    assert Neighbours.validate_inputs(concepts=None) is True
    assert Neighbours.validate_inputs(concepts="cat") is True
