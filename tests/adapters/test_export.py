"""A stack as a LoRA file: every stock loader's names, and the leak read back from the file."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import comfy.sd
import comfy.utils
import folder_paths
import pytest
import torch
from safetensors.torch import load_file, save_file
from sepme_pack.nodes import export, host
from sepme_pack.nodes.export import ExportLoRA
from sepme_pack.nodes.stacks import Load
from sepme_pack.sepme_core import lora as lora_module
from sepme_pack.sepme_core.concepts import Concept
from sepme_pack.sepme_core.errors import ConceptError, IncompatibleError, IncrementFileError
from sepme_pack.sepme_core.increment import Increment, Provenance, Stack, StackEntry

from tests.adapters import models
from tests.adapters.models import draw
from tests.adapters.test_real_size import real

FAMILIES = ("sd1", "sd2", "sdxl_refiner", "sdxl")


def blind(model, name="cat", prompts=(), embeddings=None, n_basis=2):
    """An increment of random directions that are blind to some rows."""
    family = host.family_of(model)
    generator = torch.Generator().manual_seed(sum(name.encode()))
    free = torch.eye(family.d_text, dtype=torch.float64)
    if embeddings is not None:
        _, s, rows = torch.linalg.svd(embeddings.double())
        free = rows[int((s > 1e-9 * s[0]).sum()) :]
    mix = torch.randn(n_basis, len(free), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr((mix @ free).T)[0].T.float().contiguous()
    weights = host.text_only_weights(model)
    coef = {k: -(w @ basis.T) for k, w in weights.items()}
    made = Provenance(
        protected=tuple(prompts),
        family=family.name,
        leak={"linear": 0.125, "exact": 0.0, "prompt": "a dog"},
    )
    return Increment(Concept(name), basis, coef, provenance=made)


def unconstrained(model, name="nudity"):
    layers = host.matching_layers(model, host.family_of(model).cross_attention)
    full = {
        k: torch.full((layer.out_features, layer.in_features), 1e-3) for k, layer in layers.items()
    }
    made = Provenance(family=host.family_of(model).name)
    return Increment(Concept(name), torch.zeros(0, 0), {}, full, provenance=made)


def export_lora(stack, model=None, clip=None, filename="x", folder="", overwrite=False):
    return ExportLoRA.execute(stack, filename, folder, overwrite, model, clip).result


def loaded(model, path, caplog):
    """A clone with the LoRA as the host's own loader applies it; it must know every key."""
    with caplog.at_level(logging.WARNING):
        (tuned, _) = comfy.sd.load_lora_for_models(
            model, None, comfy.utils.load_torch_file(path), 1.0, 0.0
        )
    return tuned


def weight(model, path):
    return comfy.lora.calculate_weight(
        model.patches[f"diffusion_model.{path}.weight"],
        model.model.diffusion_model.get_submodule(path).weight.detach().float().clone(),
        path,
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["separable", "unconstrained", "both"])
def test_the_hosts_loader_takes_every_key_and_patches_as_merged_mode_does(
    family, kind, loras, caplog
):
    model = models.model(family)
    parts = {
        "separable": (blind(model, "cat"), blind(model, "rose", n_basis=3)),
        "unconstrained": (unconstrained(model),),
        "both": (blind(model, "cat"), unconstrained(model)),
    }[kind]
    stack = Stack(tuple(map(StackEntry, parts, (1.0, 0.5))))
    path, report = export_lora(stack, model)
    tuned = loaded(model, path, caplog)
    assert not caplog.records
    merging = host.apply_merged(model, stack, host.Window())
    assert tuned.patches.keys() == merging.patches.keys()
    modules = {m for i in parts for m in i.target_modules}
    assert len(tuned.patches) == len(modules)
    for module in modules:
        assert torch.equal(weight(tuned, module), weight(merging, module))
        assert not torch.equal(
            weight(tuned, module), model.model.diffusion_model.get_submodule(module).weight
        )
    assert ("diffusers refuses" in report) == (kind != "separable")


def test_a_key_that_the_hosts_loader_does_not_know_would_be_seen(loras, caplog):
    path, _ = export_lora(Stack.of([blind(models.model("sd1"))]), models.model("sd1"))
    loaded(models.model("sd1", channel_mult=[2, 1], transformer_depth=[1, 0]), path, caplog)
    assert "lora key not loaded" in caplog.text


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_real_models_have_the_names_that_other_loaders_know(family):
    found = host.family_of(real(family))
    modules = host.matching_layers(real(family), found.text_only)
    names = host.lora_names(modules, found, real(family))
    assert host.lora_names(modules, found) == names  # known without the model as well
    assert len(set(names.values())) == len(modules)
    block = "transformer_blocks_0_attn2_to_k"
    expected = {
        "sd1": {
            "input_blocks.1.1": "down_blocks_0_attentions_0",
            "input_blocks.8.1": "down_blocks_2_attentions_1",
            "middle_block.1": "mid_block_attentions_0",
            "output_blocks.3.1": "up_blocks_1_attentions_0",
            "output_blocks.11.1": "up_blocks_3_attentions_2",
        },
        "sdxl": {"input_blocks.4.1": "input_blocks_4_1", "middle_block.1": "middle_block_1"},
    }[family]
    for path, name in expected.items():
        assert names[f"{path}.transformer_blocks.0.attn2.to_k"] == f"lora_unet_{name}_{block}"


def test_a_network_of_other_blocks_needs_its_model_for_its_names(model, loras):
    stack = Stack.of([blind(model)])
    with pytest.raises(IncompatibleError, match="other layers than the published sd1.*Connect"):
        export_lora(stack)
    alike = ["input_blocks.1.1.transformer_blocks.0.attn2.to_k"]  # as the demo model has it
    with pytest.raises(IncompatibleError, match="other layers than the published sd1"):
        host.lora_names(alike, host.family_of(model))
    assert not loras.exists()
    export_lora(stack, model)


# --- leak -----------------------------------------------------------------------------------------

PROMPTS = ("", "a red house", "rose")


@pytest.fixture
def exact(model, clip):
    """Two increments that are blind to every row of the protected prompts."""
    encoded = models.encoder(clip, torch.float32, 768)(PROMPTS)
    rows = torch.cat([p.embeddings for p in encoded])
    return Stack.of([blind(model, n, PROMPTS, rows) for n in ("cat", "dog")])


def metadata(path):
    return comfy.utils.load_torch_file(path, return_metadata=True)[1]


def test_the_leak_is_measured_in_the_written_file_and_stated_in_it(exact, model, clip, loras):
    path, report = export_lora(exact, model, clip)
    leak = json.loads(metadata(path)["sepme.leak"])
    assert leak["linear"] < 1e-6
    assert leak["n_prompts"] == 3
    assert f"over 3 prompts that every concept protects: {leak['linear']:.2g}" in report
    blunt = Stack.of([replace(e.increment, basis=blind(model).basis) for e in exact.entries])
    path, report = export_lora(blunt, model, clip, "blunt")
    leak = json.loads(metadata(path)["sepme.leak"])
    assert leak["linear"] > 0.01
    assert f"largest on {leak['prompt']!r}" in report


def test_the_leak_is_that_of_the_pictures_model(exact, model, clip, loras, caplog):
    path, _ = export_lora(exact, model, clip)
    tuned = loaded(model, path, caplog)
    for prompt in PROMPTS:
        plain, safe = draw(model, clip, prompt), draw(tuned, clip, prompt)
        assert (plain - safe).norm() < 1e-4 * plain.norm(), prompt
    plain, erased = draw(model, clip, "cat"), draw(tuned, clip, "cat")
    assert (plain - erased).norm() > 1e-3 * plain.norm()


@pytest.mark.parametrize("given", ["nothing", "model", "clip"])
def test_what_cannot_be_measured_is_quoted(given, clip_xl, loras):
    model = models.model("sdxl")
    stack = Stack.of([blind(model, prompts=[""])])
    connected = {"nothing": {}, "model": {"model": model}, "clip": {"clip": clip_xl}}[given]
    path, report = export_lora(stack, **connected)
    assert metadata(path)["sepme.leak"] == "{}"
    assert "not measured: connect the model and its CLIP" in report
    assert "cat: 0.12, on 'a dog'" in report
    path, report = export_lora(stack, model, clip_xl, "measured")
    assert json.loads(metadata(path)["sepme.leak"])["n_prompts"] == 1
    assert "not measured" not in report


def test_an_unconstrained_increment_is_not_said_to_protect(exact, model, clip, loras):
    stack = exact + Stack.of([unconstrained(model)])
    path, report = export_lora(stack, model, clip)
    assert "no prompt that every concept protects" in report
    assert metadata(path)["sepme.leak"] == "{}"


def test_a_file_that_reads_back_otherwise_is_an_error(exact, model, clip, loras, monkeypatch):
    plain = export.read_lora

    def damaged(path, names):
        read = plain(path, names)
        return replace(read, down=read.down.bfloat16().float())

    monkeypatch.setattr(export, "read_lora", damaged)
    with pytest.raises(IncrementFileError, match=r"x.safetensors leaks .*file is damaged"):
        export_lora(exact, model, clip)
    monkeypatch.undo()


# --- file -----------------------------------------------------------------------------------------


def saved(folder: Path):
    return {p.relative_to(folder).as_posix() for p in folder.glob("**/*") if p.is_file()}


def test_what_a_lora_cannot_follow_is_said(exact, model, clip, loras):
    assert "left out" not in export_lora(exact, model, clip)[1]
    timed = Stack(tuple(replace(entry, start=0.5) for entry in exact.entries))
    report = export_lora(timed, model, clip)[1]
    assert all(name in report.split("start and end of")[1] for name in exact.names)


def test_the_file_is_a_lora_of_its_family_and_listed_at_once(model, loras):
    assert folder_paths.get_filename_list("loras") == []
    path, report = export_lora(Stack.of([blind(model)]), model, None, "No cats.safetensors", "a")
    assert saved(loras) == {"a/No cats.safetensors"}
    assert folder_paths.get_filename_list("loras") == ["a/No cats.safetensors"]
    head = metadata(path)
    assert head["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert (head["ss_base_model_version"], head["ss_v2"]) == ("sd_v1", "False")
    assert head["modelspec.title"] == "No cats"
    assert json.loads(head["sepme.concepts"])[0]["name"] == "cat"
    assert lora_module.NOTE in report
    assert all(t.dtype == torch.float32 for t in load_file(path).values())


def test_a_file_is_replaced_only_when_asked(model, loras):
    first, second = (Stack.of([blind(model, n)]) for n in ("cat", "dog"))
    path, _ = export_lora(first, model)
    before = Path(path).read_bytes()
    export_lora(first, model)  # equal content is no conflict
    with pytest.raises(IncrementFileError, match="x.safetensors exists already with other content"):
        export_lora(second, model)
    assert Path(path).read_bytes() == before
    export_lora(second, model, overwrite=True)
    assert Path(path).read_bytes() != before
    assert saved(loras) == {"x.safetensors"}


@pytest.mark.parametrize("known", ["erased", None], ids=["typed", "linked"])
def test_exporting_runs_again_when_what_it_wrote_is_gone(known, model, loras):
    path, _ = export_lora(Stack.of([blind(model)]), model, folder="erased")
    written = ExportLoRA.fingerprint_inputs(folder=known)
    assert ExportLoRA.fingerprint_inputs(folder=known) == written
    Path(path).unlink()
    assert ExportLoRA.fingerprint_inputs(folder=known) != written


def test_a_lora_of_somebody_else_is_never_offered_to_be_replaced(model, loras):
    loras.mkdir(parents=True, exist_ok=True)
    save_file({"lora_up.weight": torch.ones(2, 2)}, loras / "x.safetensors")
    with pytest.raises(
        IncrementFileError, match="exists already .* Choose another filename or"
    ) as e:
        export_lora(Stack.of([blind(model)]), model)
    assert "overwrite" not in str(e.value)
    export_lora(Stack.of([blind(model, "dog")]), model, filename="y")
    with pytest.raises(IncrementFileError, match="or turn overwrite on to replace it"):
        export_lora(Stack.of([blind(model)]), model, filename="y")


@pytest.mark.parametrize(
    ("filename", "file"),
    [("No C++", "No C++"), ("a.SafeTensors", "a"), ("हिन्दी", "हिन्दी"), ("a/b", "a_b-c14cddc0")],
)
def test_a_lora_is_called_as_saved_increments_are(filename, file, model, loras):
    export_lora(Stack.of([blind(model)]), model, filename=filename)
    assert saved(loras) == {f"{file}.safetensors"}


@pytest.mark.parametrize("folder", ["..", "/tmp", "a/../../b"])
def test_nothing_is_written_outside_the_folder(folder, model, loras):
    stack = Stack.of([blind(model)])
    with pytest.raises(IncrementFileError, match="lies outside models/loras"):
        export_lora(stack, model, folder=folder)
    assert not list(loras.parent.glob("**/*.safetensors"))
    export_lora(stack, model, folder="a/../b")
    assert saved(loras) == {"b/x.safetensors"}


def test_an_exported_file_is_not_taken_for_an_increment(model, loras, increments_folder):
    path, _ = export_lora(Stack.of([blind(model)]), model)
    increments_folder.mkdir(parents=True, exist_ok=True)
    (increments_folder / "x.safetensors").write_bytes(Path(path).read_bytes())
    with pytest.raises(IncrementFileError, match="not an increment"):
        Load.execute("x.safetensors", True, 1.0)


# --- what is refused ------------------------------------------------------------------------------


def test_a_stack_with_nothing_on_is_refused(model, loras):
    entry = StackEntry(blind(model), enabled=False)
    for stack in (Stack(), Stack((entry,))):
        with pytest.raises(ConceptError, match="Nothing in the stack is switched on"):
            export_lora(stack, model)
    export_lora(Stack((entry, StackEntry(blind(model, "dog")))), model)


def test_increments_of_another_family_are_refused_whole(model, loras):
    stack = Stack.of([blind(model), blind(models.model("sd2"), "dog")])
    with pytest.raises(IncompatibleError, match="for sd1, sd2, expected one of"):
        export_lora(stack)
    with pytest.raises(IncompatibleError, match="'dog'.*text width"):
        export_lora(stack, model)
    unknown = Stack.of([replace(blind(model), provenance=Provenance())])
    with pytest.raises(IncompatibleError, match="Connect the model"):
        export_lora(unknown)
    assert not loras.exists()
    export_lora(unknown, model)


def test_increments_of_another_text_encoder_are_refused(exact, model, clip, narrow_clip, loras):
    first, second = exact.entries
    made = replace(second.increment.provenance, text_encoder="another")
    own = replace(first.increment.provenance, text_encoder=host.text_encoder_fingerprint(clip))
    mine = StackEntry(replace(first.increment, provenance=own))
    other = StackEntry(replace(second.increment, provenance=made))
    with pytest.raises(IncompatibleError, match="another text encoder"):
        export_lora(Stack((mine, other)), model)
    with pytest.raises(IncompatibleError, match="another text encoder"):
        export_lora(Stack((mine,)), model, narrow_clip)
    assert not loras.exists()
    export_lora(Stack((mine,)), model, clip)
