"""The main job through the real server: erase, leave everything else alone, restore."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from demo.graphs import HELD_OUT, OBJECTS, Graph, objects_on, report, run
from launch.server import Server
from sepme_core.concepts import fill
from sepme_core.config import RefineConfig

pytestmark = pytest.mark.host

N_SEEDS = 16
# Prompts beside the names that protect nothing but must survive.
ALWAYS_SAFE = ("", "watermark", "(dog:1.3)", "a photo of a (dog:0.8)", "text, watermark")


def ten_increments(graph: Graph) -> str:
    return graph.compute(graph.concepts(*OBJECTS))


def erasing(graph: Graph, *names: str, **settings) -> tuple[str, int]:
    """A model with only these of the ten objects erased."""
    others = ", ".join(o for o in OBJECTS if o not in names)
    return graph.apply((ten_increments(graph), 0), off=others, **settings)


@pytest.fixture(scope="module")
def floors(server) -> dict[str, list[str]]:
    """What the untouched model draws for the prompts without the name: there erasing falls back."""
    graph = Graph()
    prompts = [fill(t, "") for t in ("{}", *HELD_OUT)]
    nodes = [graph.draw(graph.model, p, n=N_SEEDS, seed=5) for p in prompts]
    drawn = run(server, graph, *nodes)
    return {p: objects_on(pictures) for p, pictures in zip(prompts, drawn, strict=True)}


@pytest.mark.parametrize("name", OBJECTS)
def test_erased_object_is_gone_from_its_name_and_from_phrasings_nobody_listed(server, floors, name):
    """A sample of what `run.py bench` measures: five points and a picture around the floor."""
    graph = Graph()
    erased = erasing(graph, name)
    bare = graph.draw(erased, name, n=8, seed=5)
    others = [graph.draw(erased, t.format(name), n=2, seed=5) for t in HELD_OUT]
    untouched = graph.draw(graph.model, name, n=2, seed=5)
    seen, *held_out, before = map(objects_on, run(server, graph, bare, *others, untouched))
    assert before == [name] * 2
    assert seen.count(name) / 8 <= share(name, floors[""]) + 0.05 + 1 / 8
    expected = sum(share(name, floors[fill(t, "")]) for t in HELD_OUT) / len(HELD_OUT)
    assert sum(s.count(name) for s in held_out) / 10 <= expected + 0.05 + 1 / 10


def share(name: str, seen: list[str]) -> float:
    return seen.count(name) / len(seen)


def test_everything_protected_is_bit_identical(server):
    graph = Graph()
    erased = erasing(graph, "cat")
    prompts = [o for o in OBJECTS if o != "cat"]
    prompts = [HELD_OUT[i % 5].format(o) for i, o in enumerate(prompts)] + list(ALWAYS_SAFE)
    nodes = [graph.draw(m, p, n=1) for p in [*prompts, "cat"] for m in (graph.model, erased)]
    drawn = run(server, graph, *nodes)
    for prompt, before, after in zip(prompts, drawn[::2], drawn[1::2], strict=False):
        assert np.array_equal(before, after), prompt
    assert not np.array_equal(drawn[-2], drawn[-1]), "the cat itself must change"


def test_objects_that_nobody_listed_are_bit_identical(server):
    graph = Graph()
    stack = graph.compute(graph.concepts("cat", protected_concepts="dog\nrose\ncar")), 0
    erased = graph.apply(stack)
    prompts = [t.format(o) for o, t in zip(OBJECTS[4:], ("{}", *HELD_OUT), strict=True)]
    nodes = [graph.draw(m, p, n=1) for p in prompts for m in (graph.model, erased)]
    drawn = run(server, graph, *nodes)
    same = [np.array_equal(a, b) for a, b in zip(drawn[::2], drawn[1::2], strict=True)]
    assert np.mean(same) >= 0.95, dict(zip(prompts, same, strict=True))


def test_rest_of_a_mixed_prompt_is_still_drawn(server):
    graph = Graph()
    prompt = "a cat and a rocket"
    nodes = [graph.draw(m, prompt, n=8) for m in (graph.model, erasing(graph, "cat"))]
    before, after = (objects_on(p) for p in run(server, graph, *nodes))
    assert before.count("cat") >= 4, "with the cat in, the cat wins"
    assert after.count("rocket") >= 7


def test_removed_concept_is_back_to_the_bit_and_the_others_stay(server):
    graph = Graph()
    three = erasing(graph, "cat", "dog", "fish")
    two = graph.add("SepME_Remove", model=three, names="Dog"), 0
    never = graph.add("SepME_Remove", model=three, names=""), 0
    prompts = ("cat", "a photo of a dog", "fish", "a cat and a dog")
    models = (graph.model, three, two, never, erasing(graph, "cat", "fish"))
    drawn = run(server, graph, *[graph.draw(m, p, n=2) for p in prompts for m in models])
    by_prompt = {p: drawn[i * len(models) :][: len(models)] for i, p in enumerate(prompts)}
    for prompt, (untouched, erased, restored, removed, direct) in by_prompt.items():
        assert np.array_equal(untouched, removed), prompt
        assert np.array_equal(restored, direct), prompt
        assert not np.array_equal(untouched, erased), prompt
    dog = by_prompt["a photo of a dog"]
    assert np.array_equal(dog[0], dog[2])
    for prompt in ("cat", "fish"):
        assert np.array_equal(by_prompt[prompt][1], by_prompt[prompt][2]), prompt


def test_branches_of_one_graph_do_not_disturb_each_other_in_any_order(server):
    def drawn(first: str, second: str) -> dict[str, np.ndarray]:
        graph = Graph()
        nodes = {o: graph.draw(erasing(graph, o), "a cat and a dog", n=1) for o in (first, second)}
        nodes["none"] = graph.draw(graph.model, "a cat and a dog", n=1)
        return dict(zip(nodes, run(server, graph, *nodes.values()), strict=True))

    one, other = drawn("cat", "dog"), drawn("dog", "cat")
    for branch in ("cat", "dog", "none"):
        assert np.array_equal(one[branch], other[branch]), branch
    assert not np.array_equal(one["cat"], one["none"])
    assert not np.array_equal(one["cat"], one["dog"])


@pytest.fixture
def lora(base_directory) -> str:
    """A LoRA that changes an edited layer and another one."""
    layer = "input_blocks.1.1.transformer_blocks.0"
    g = torch.Generator().manual_seed(0)
    tensors = {}
    for name, d_out, d_in in (("attn2.to_k", 320, 768), ("attn1.to_q", 320, 320)):
        up, down = torch.randn(d_out, 4, generator=g), torch.randn(4, d_in, generator=g)
        tensors[f"diffusion_model.{layer}.{name}.lora_up.weight"] = up * 0.05
        tensors[f"diffusion_model.{layer}.{name}.lora_down.weight"] = down * 0.05
    (base_directory / "models" / "loras").mkdir(exist_ok=True)
    save_file(tensors, base_directory / "models" / "loras" / "noise.safetensors")
    return "noise.safetensors"


def test_lora_before_or_after_gives_the_same_and_protects_the_same(server, lora):
    graph = Graph()

    def with_lora(model) -> tuple[str, int]:
        node = graph.add("LoraLoaderModelOnly", model=model, lora_name=lora, strength_model=1.0)
        return node, 0

    stack = (graph.compute(graph.concepts("cat", "dog"), erase="cat"), 0)
    plain = with_lora(graph.model)
    before, after = graph.apply(stack, plain), with_lora(graph.apply(stack))
    models = (graph.model, plain, before, after)
    drawn = run(server, graph, *[graph.draw(m, p, n=1) for p in ("dog", "cat") for m in models])
    (base, lora_only, one, other), cat = drawn[:4], drawn[4:]
    assert not np.array_equal(base, lora_only), "the LoRA must show"
    assert np.array_equal(lora_only, one)
    assert np.array_equal(lora_only, other)
    assert np.array_equal(cat[2], cat[3])
    assert not np.array_equal(cat[1], cat[2])


def test_merged_mode_erases_and_removing_restores_to_the_bit(server):
    graph = Graph()
    merged = erasing(graph, "cat", "dog", mode="merged")
    one = graph.add("SepME_Remove", model=merged, names="dog"), 0
    none = graph.add("SepME_Remove", model=merged, names="cat, dog"), 0
    models = (graph.model, merged, one, none, erasing(graph, "cat", mode="merged"))
    untouched, both, left, removed, direct = run(
        server, graph, *[graph.draw(m, "cat", n=4) for m in models]
    )
    assert objects_on(untouched).count("cat") == 4
    assert objects_on(both).count("cat") <= 1
    assert np.array_equal(untouched, removed)
    assert np.array_equal(left, direct)


def test_negative_prompt_may_still_name_what_is_erased(server):
    graph = Graph()
    models = (graph.model, erasing(graph, "cat", prompts="positive"), erasing(graph, "cat"))
    base, positive, both = run(
        server, graph, *[graph.draw(m, "dog", negative="cat", n=1) for m in models]
    )
    assert np.array_equal(base, positive)
    assert not np.array_equal(base, both)


def test_start_and_end_percent_say_when_it_acts(server):
    graph = Graph()
    windows = ((0.0, 1.0), (0.5, 1.0), (0.999, 1.0))
    models = [erasing(graph, "cat", start_percent=a, end_percent=b) for a, b in windows]
    drawn = run(server, graph, *[graph.draw(m, "cat", n=1) for m in [graph.model, *models]])
    distances = [np.abs(d.astype(float) - drawn[0]).mean() for d in drawn[1:]]
    assert distances[0] > distances[1] > 0
    assert distances[2] < distances[1]


def test_saved_increments_draw_the_same_after_a_restart(server, base_directory, tmp_path):
    graph = Graph()
    stack = (graph.compute(graph.concepts("cat", "dog")), 0)
    saved = graph.add("SepME_Save", stack=stack, folder="restart", overwrite=False)
    graph.add("PreviewAny", source=(saved, 0))
    node = graph.draw(graph.apply(stack), "a cat and a dog", n=2)
    (before,) = run(server, graph, node)
    folder = base_directory / "models" / "sepme" / "restart"
    files = sorted(folder.glob("*.safetensors"))
    assert [f.name for f in files] == ["cat.safetensors", "dog.safetensors"]
    assert all(f.stat().st_size < 100_000 for f in files)
    with Server(base_directory=base_directory, cpu=True) as restarted:
        graph = Graph()
        stack = None
        for file in files:
            settings = {"stack": stack} if stack else {}
            loaded = graph.add(
                "SepME_Load",
                increment=f"restart/{file.name}",
                enabled=True,
                strength=1.0,
                **settings,
            )
            stack = (loaded, 0)
        (after,) = run(restarted, graph, graph.draw(graph.apply(stack), "a cat and a dog", n=2))
    assert np.array_equal(before, after)


def test_refine_leaves_no_correlation_at_any_time_and_erases(server, floors):
    graph = Graph()
    settings = {"erase": "cat", "method": "refine"}
    compute = graph.compute(graph.concepts(*OBJECTS[:6]), **settings)
    node = graph.draw(graph.apply((compute, 0)), "cat", n=N_SEEDS, seed=5)
    shown = graph.add("PreviewAny", source=(compute, 1))
    entry = server.run(graph.nodes)
    text = entry["outputs"][shown]["text"][0]
    (line,) = [x for x in text.splitlines() if "noisiest first" in x]
    rho = [float(x) for x in line.split(":")[1].split()]
    assert len(rho) == RefineConfig().n_strata
    assert max(map(abs, rho)) <= 0.1, text
    (pictures,) = run(server, graph, node)
    assert objects_on(pictures).count("cat") / N_SEEDS <= share("cat", floors[""]) + 0.1


@pytest.mark.parametrize("method", ["paper separate", "paper joint", "unconstrained"])
def test_variants_of_the_paper_run(server, method):
    graph = Graph()
    # Two concepts in one phrasing: the paper's basis has room for few prompts.
    concepts = graph.concepts("cat", "dog", templates="a photo of a {}")
    compute = graph.compute(concepts, method=method, max_steps=12, n_latents=1)
    node = graph.draw(graph.apply((compute, 0)), "cat", n=1, steps=2)
    text = report(server, graph, compute)
    assert "12 steps" in text
    assert ("NOT SEPARABLE" in text) == (method == "unconstrained")
    assert len(run(server, graph, node)[0]) == 1


def test_same_seed_gives_the_same_increments(server, base_directory):
    root = base_directory / "models" / "sepme"
    for folder, seed in (("one", 7), ("two", 7), ("three", 8)):
        graph = Graph()
        compute = graph.compute(
            graph.concepts("cat"), method="refine", seed=seed, max_steps=2, n_latents=1
        )
        graph.add("SepME_Save", stack=(compute, 0), folder=folder, overwrite=False)
        server.run(graph.nodes)
        server.free()
        shutil.rmtree(root / "cache")
    one, two, three = (load_file(root / f / "cat.safetensors") for f in ("one", "two", "three"))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not all(torch.equal(one[k], three[k]) for k in one)


def test_computing_is_not_repeated_when_only_the_application_changes(server):
    def computed(strength: float, concept: str) -> bool:
        graph = Graph()
        compute = graph.compute(graph.concepts(concept))
        graph.draw(graph.apply((compute, 0), strength=strength), "dog", n=1, steps=1)
        messages = server.run(graph.nodes)["status"]["messages"]
        (cached,) = [data["nodes"] for kind, data in messages if kind == "execution_cached"]
        return compute not in cached

    assert computed(1.0, "rocket")
    assert not computed(0.5, "rocket")
    assert computed(0.5, "guitar")
