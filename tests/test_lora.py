"""A stack as one plain LoRA: the same change, seen by nothing that the bases do not see."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from sepme_core.concepts import Concept
from sepme_core.embeddings import EncodedPrompt
from sepme_core.errors import IncrementFileError
from sepme_core.increment import Increment, Provenance, Stack, StackEntry
from sepme_core.lora import Lora, lora_leak, lora_metadata, protected_by_all, read_lora
from sepme_core.safetensors_file import to_safetensors, write_file
from tests.toy import seeded

D_TEXT, D_OUT = 96, {"block.to_k": 40, "block.to_v": 24}
NAMES = {"block.to_k": "lora_unet_k", "block.to_v": "lora_unet_v", "block.to_q": "lora_unet_q"}
WEIGHTS = {m: seeded(f"W {m}", n, D_TEXT) for m, n in D_OUT.items()}
EPS = torch.finfo(torch.float32).eps

# Rows that must not change, and an orthonormal basis of what is blind to them.
PROTECTED = seeded("protected", 30, D_TEXT)
FREE = torch.linalg.svd(PROTECTED.double())[2][30:]


def increment(name: str, n_basis: int = 1, modules: tuple[str, ...] = tuple(D_OUT)) -> Increment:
    """Random coefficients in random directions that are blind to the protected rows."""
    basis = torch.linalg.qr(FREE.T @ seeded(name, len(FREE), n_basis).double())[0].T.float()
    coef = {m: seeded(f"{name} {m}", D_OUT[m], n_basis) for m in modules}
    return Increment(Concept(name), basis.contiguous(), coef)


def turned(given: Increment) -> Increment:
    """Another increment over exactly the same directions, rounded differently."""
    n = given.n_basis
    turn = torch.linalg.qr(seeded(f"turn {n}", n, n).double())[0]
    return replace(increment("other", n), basis=(turn @ given.basis.double()).float())


def stack(*increments: Increment, strengths: tuple[float, ...] = (1.0, 0.5, -2.0)) -> Stack:
    return Stack(tuple(map(StackEntry, increments, strengths)))


WIDE = increment("wide", 50)
STACKS = {
    "rank one": stack(increment("cat")),
    "several": stack(increment("cat", 3), increment("rose", 2), increment("dog", 4)),
    "wider than a layer": stack(WIDE),
    "the same directions twice": stack(increment("cat", 5), turned(increment("cat", 5))),
    "more rows than free directions": stack(WIDE, turned(WIDE), increment("dog", 7)),
    "different layers": stack(
        increment("cat", 2, ("block.to_k",)), increment("rose", 3, ("block.to_v",))
    ),
}


def summed(given: Stack, module: str) -> Tensor:
    """Σ strength·ΔW in float64."""
    parts = [
        e.strength * e.increment.coef[module].double() @ e.increment.basis.double()
        for e in given.active()
        if module in e.increment.coef
    ]
    return sum(parts, torch.zeros(D_OUT[module], D_TEXT, dtype=torch.float64))


def exact_delta(lora: Lora, module: str) -> Tensor:
    return lora.up[module].double() @ lora.down.double()


@pytest.mark.parametrize("kind", STACKS)
@pytest.mark.parametrize("short", [False, True])
def test_the_lora_is_the_sum_of_the_stacks_changes(kind, short):
    lora = Lora.of(STACKS[kind])
    lora = lora.shortened() if short else lora
    assert set(lora.target_modules) == set(D_OUT)
    for module in D_OUT:
        expected = summed(STACKS[kind], module)
        assert (exact_delta(lora, module) - expected).norm() < 4 * EPS * expected.norm()
        assert (lora.delta_weight(module) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("kind", STACKS)
def test_protected_rows_stay_unseen_at_any_rank(kind):
    lora = Lora.of(STACKS[kind]).shortened()
    for module, weight in WEIGHTS.items():
        delta, e = exact_delta(lora, module), PROTECTED.double()
        moved = (e @ delta.T).norm(dim=1) / (e @ weight.double().T).norm(dim=1)
        assert moved.max() < 1e-6
        concept = seeded("any other row", 1, D_TEXT).double()
        assert (concept @ delta.T).norm() > 0.01 * (concept @ weight.double().T).norm()


@pytest.mark.parametrize("kind", STACKS)
def test_up_factors_may_be_rounded_and_down_factors_may_not(kind):
    lora = Lora.of(STACKS[kind]).shortened()
    e = PROTECTED.double()

    def moved(up: Tensor, down: Tensor) -> float:
        return float((e @ down.double().T @ up.double().T).norm() / e.norm() / up.double().norm())

    for up in lora.up.values():
        assert moved(up.bfloat16(), lora.down) < 1e-7
        assert moved(up, lora.down.bfloat16()) > 1e-5


def test_rows_are_left_out_only_where_others_make_up_for_them():
    ranks = {k: (Lora.of(s).rank, Lora.of(s).shortened().rank) for k, s in STACKS.items()}
    assert ranks == {
        "rank one": (1, 1),
        "several": (9, 9),
        "wider than a layer": (50, 50),
        "the same directions twice": (10, 5),
        "more rows than free directions": (107, 57),
        "different layers": (5, 5),
    }


def test_bases_that_do_not_overlap_are_kept_to_the_bit():
    given = STACKS["several"]
    expected = torch.cat([e.increment.basis for e in given.active()])
    lora = Lora.of(given).shortened()
    assert torch.equal(lora.down, expected)
    assert torch.equal(
        lora.up["block.to_k"],
        torch.cat([e.strength * e.increment.coef["block.to_k"] for e in given.active()], 1),
    )


def test_what_is_off_is_not_in_it():
    on, off = increment("cat"), increment("rose")
    given = Stack((StackEntry(on), StackEntry(off, enabled=False), StackEntry(off, 0.0)))
    assert torch.equal(Lora.of(given).down, on.basis)
    assert Lora.of(Stack()).target_modules == ()
    assert Lora.of(Stack()).shortened().rank == 0


def test_the_order_of_the_stack_changes_no_bit():
    entries = STACKS["several"].entries
    one, other = Lora.of(Stack(entries)), Lora.of(Stack(entries[::-1]))
    assert torch.equal(one.down, other.down)
    assert all(torch.equal(one.up[m], other.up[m]) for m in D_OUT)


# --- file -----------------------------------------------------------------------------------------


def test_every_layer_has_one_rank_and_scale_one():
    """diffusers takes the commonest alpha for every layer whose own it cannot find."""
    tensors = Lora.of(STACKS["different layers"]).tensors(NAMES)
    assert set(tensors) == {
        f"lora_unet_{layer}.{part}"
        for layer in "kv"
        for part in ("lora_up.weight", "lora_down.weight", "alpha")
    }
    for layer in "kv":
        up, down = (tensors[f"lora_unet_{layer}.lora_{x}.weight"] for x in ("up", "down"))
        assert up.shape[1] == len(down) == tensors[f"lora_unet_{layer}.alpha"] == 5
        assert up.dtype == down.dtype == torch.float32


@pytest.mark.parametrize("kind", STACKS)
def test_what_was_written_is_read_back_bit_for_bit(kind, tmp_path):
    lora = Lora.of(STACKS[kind]).shortened()
    path = tmp_path / "x.safetensors"
    names = {m: NAMES[m] for m in lora.target_modules}
    write_file(path, to_safetensors(lora.tensors(names), {}))
    read = read_lora(path, names)
    assert torch.equal(read.down, lora.down)
    assert all(torch.equal(read.up[m], lora.up[m]) for m in lora.up)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda t: t.pop("lora_unet_k.alpha"), "cannot be read back.*lora_unet_k.alpha"),
        (lambda t: t.pop("lora_unet_v.lora_up.weight"), "cannot be read back"),
        (lambda t: t["lora_unet_k.alpha"].fill_(1), "does not hold what was written"),
        (lambda t: t["lora_unet_k.lora_down.weight"].add_(1), "does not hold what was written"),
        (lambda t: t.update(x=torch.ones(1)), "does not hold what was written"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_refused(tamper, reason, tmp_path):
    path, names = tmp_path / "x.safetensors", {m: NAMES[m] for m in D_OUT}
    tensors = Lora.of(STACKS["several"]).tensors(names)
    tamper(tensors)
    write_file(path, to_safetensors(tensors, {}))
    with pytest.raises(IncrementFileError, match=f"x.safetensors .*{reason}"):
        read_lora(path, names)


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_truncated_file_is_refused(size, tmp_path):
    path, names = tmp_path / "x.safetensors", {m: NAMES[m] for m in D_OUT}
    data = to_safetensors(Lora.of(STACKS["several"]).tensors(names), {})
    path.write_bytes(data[:size])
    with pytest.raises(IncrementFileError, match="x.safetensors was written, but cannot be read"):
        read_lora(path, names)
    path.write_bytes(data)
    read_lora(path, names)


def test_an_unconstrained_change_is_written_whole_with_all_that_its_layers_change(tmp_path):
    full = {m: seeded(f"full {m}", 24, 24 if m == "block.to_q" else D_TEXT) for m in NAMES}
    full["block.to_k"] = seeded("full k", 40, D_TEXT)
    free = Increment(Concept("nudity"), torch.zeros(0, 0), {}, full)
    part = replace(free, full={"block.to_q": full["block.to_q"]})
    path = tmp_path / "x.safetensors"
    for given in (stack(free, increment("cat", 3)), stack(increment("cat", 3), part)):
        lora = Lora.of(given).shortened()
        write_file(path, to_safetensors(lora.tensors(NAMES), {}), overwrite=True)
        read = read_lora(path, NAMES)
        assert read.target_modules == tuple(sorted(NAMES))
        for module in NAMES:
            acting = [e for e in given.entries if module in e.increment.target_modules]
            expected = sum(e.strength * e.increment.delta_weight(module) for e in acting)
            assert torch.equal(read.delta_weight(module), lora.delta_weight(module))
            torch.testing.assert_close(read.delta_weight(module), expected)


# --- leak and metadata ----------------------------------------------------------------------------


def prompt(text: str, rows: Tensor) -> EncodedPrompt:
    return EncodedPrompt(text, rows, len(rows))


def test_the_leak_is_measured_where_it_is_largest():
    lora = Lora.of(STACKS["several"]).shortened()
    safe = [prompt("a", PROTECTED[:10]), prompt("b", PROTECTED[10:])]
    assert lora_leak(lora, safe, WEIGHTS).linear < 1e-6
    mixed = torch.cat([PROTECTED[:3], seeded("a concept", 1, D_TEXT)])
    leak = lora_leak(lora, [safe[0], prompt("mixed", mixed), safe[1]], WEIGHTS)
    assert leak.prompt == "mixed"
    ratios = [
        (exact_delta(lora, m) @ mixed[3].double()).norm() / (w.double() @ mixed[3].double()).norm()
        for m, w in WEIGHTS.items()
    ]
    assert leak.linear == pytest.approx(float(max(ratios)), rel=0.01)


def test_the_leak_is_the_loras_own_and_not_that_of_measuring_it():
    """In single precision the protected rows' projections, all but zero, would be noise."""
    lora = Lora.of(STACKS["wider than a layer"].scaled(30))
    expected = max(
        float(
            (
                (PROTECTED.double() @ exact_delta(lora, m).T).norm(dim=1)
                / (PROTECTED.double() @ w.double().T).norm(dim=1)
            ).max()
        )
        for m, w in WEIGHTS.items()
    )
    rows = [prompt(str(i), row[None]) for i, row in enumerate(PROTECTED)]
    assert lora_leak(lora, rows, WEIGHTS).linear == pytest.approx(expected, rel=0.01)


def test_only_what_every_active_increment_protects_is_promised():
    def protecting(name: str, *prompts: str) -> Increment:
        return replace(increment(name), provenance=Provenance(protected=prompts))

    cat, rose = protecting("cat", "", "rose", "a dog"), protecting("rose", "", "cat", "a dog")
    assert protected_by_all(stack(cat, rose)) == ("", "a dog")
    assert protected_by_all(stack(cat, rose, strengths=(1, 0))) == ("", "a dog", "rose")
    assert protected_by_all(stack(cat, increment("nudity"))) == ()
    assert protected_by_all(Stack()) == ()


def test_the_head_says_what_it_is_and_what_it_leaks(tmp_path):
    given, path = STACKS["several"], tmp_path / "x.safetensors"
    lora, leak = Lora.of(given), {"linear": 1e-7, "prompt": "côté", "n_prompts": 3}
    metadata = lora_metadata(
        given, lora, title="x", architecture="stable-diffusion-v1", base_version="sd_v1", leak=leak
    )
    write_file(path, to_safetensors(lora.tensors(NAMES), metadata))
    with safe_open(path, "pt") as file:
        read = file.metadata()
    assert read["ss_network_module"] == "networks.lora"
    assert read["ss_network_dim"] == read["ss_network_alpha"] == "9"
    assert read["modelspec.architecture"] == "stable-diffusion-v1/lora"
    concepts = json.loads(read["sepme.concepts"])
    assert {c["name"]: c["strength"] for c in concepts} == {"cat": 1.0, "rose": 0.5, "dog": -2.0}
    assert json.loads(read["sepme.leak"]) == leak
    assert "no dead zone" in read["sepme.note"]
    assert "sepme.format" not in read, "an increment file has it"
