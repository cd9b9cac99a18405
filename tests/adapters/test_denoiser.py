"""The host's model behind the core's denoiser interface."""

import comfy.model_management
import pytest
import torch
from sepme_pack.nodes.host import HostDenoiser, autograd_ready, computing, recomputing
from sepme_pack.nodes.host import denoiser as denoiser_module
from sepme_pack.sepme_core.application import StackBranch, attached
from sepme_pack.sepme_core.denoiser import CountingDenoiser
from torch import nn

from tests.adapters import models

SIDE = 64  # pixels: latents of 8 x 8


def as_loaded(family="sd1", **settings):
    """A MODEL as the host loads it, made of inference tensors."""
    with torch.inference_mode():
        return models.model(family, **settings)


def denoiser(model, clip, **settings):
    found = HostDenoiser(model, clip, SIDE, **settings)
    found.load()
    return found


def noised(found, n=2, seed=0):
    x = torch.randn(n, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    sigma = found.sigmas(torch.linspace(0.2, 0.9, n))
    return found.add_noise(torch.zeros_like(x), x, sigma), sigma


@pytest.fixture(autouse=True)
def outside_inference_mode():
    with computing():
        yield


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_eps_is_the_hosts_own_prediction(request, family):
    clip = request.getfixturevalue({"sd1": "clip", "sdxl": "clip_xl"}[family])
    found = denoiser(as_loaded(family), clip)
    x, sigma = noised(found)
    eps = found(x, sigma, ["cat", "a photo of a rose"])
    network = found._model.model
    for i, prompt in enumerate(["cat", "a photo of a rose"]):
        ((context, extra),) = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
        given = {"pooled_output": extra["pooled_output"], "device": models.CPU, "noise": x}
        # The size that the host assumes for latents of 8 x 8.
        y = network.encode_adm(**given, width=SIDE, height=SIDE)
        with torch.inference_mode():
            denoised = network.apply_model(
                x[i : i + 1],
                sigma[i : i + 1],
                c_crossattn=context,
                transformer_options={},
                **({} if y is None else {"y": y}),
            )
        expected = (x[i : i + 1] - denoised) / sigma[i]
        torch.testing.assert_close(eps[i : i + 1], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(eps, found(x, sigma, ["", ""]), rtol=1e-3, atol=1e-3)


def test_a_v_prediction_model_gives_eps_as_well(clip):
    """x = x0 + sigma * eps holds for the model's own denoised picture, whatever it predicts."""
    from comfy.model_sampling import V_PREDICTION, ModelSamplingDiscrete

    class Sampling(ModelSamplingDiscrete, V_PREDICTION):
        pass

    plain = as_loaded()
    model = plain.clone()
    model.add_object_patch("model_sampling", Sampling(model.model.model_config))
    found = denoiser(model, clip)
    x, sigma = noised(found)
    as_v = found(x, sigma, ["cat", "cat"])
    as_eps = denoiser(plain, clip)(x, sigma, ["cat", "cat"])
    scale = (1 + sigma.square()).sqrt().view(-1, 1, 1, 1)
    expected = as_eps / scale + x * sigma.view(-1, 1, 1, 1) / scale.square()
    torch.testing.assert_close(as_v, expected, rtol=1e-3, atol=1e-3)


def test_prompts_of_different_lengths_go_into_one_call(clip):
    found = denoiser(as_loaded(), clip)
    x, sigma = noised(found)
    long = "a photo of a cat beside a red rose " * 12
    with torch.no_grad():
        together = found(x, sigma, [long, "cat"])
        alone = [found(x[i : i + 1], sigma[i : i + 1], [p]) for i, p in enumerate([long, "cat"])]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_trajectory_holds_what_fresh_calls_predict(request, family):
    clip = request.getfixturevalue({"sd1": "clip", "sdxl": "clip_xl"}[family])
    told = []
    found = denoiser(as_loaded(family), clip, on_draw=lambda *at: told.append(at))
    seen = found.trajectory("a photo of a cat", seed=3, n_steps=3)
    assert seen.x.shape == (3, 4, 8, 8)
    assert told == [("a photo of a cat", step, 3) for step in (1, 2, 3)]
    assert (seen.sigma.diff() < 0).all()
    with torch.no_grad():
        concept = found(seen.x, seen.sigma, ["a photo of a cat"] * 3)
        uncond = found(seen.x, seen.sigma, [""] * 3)
    torch.testing.assert_close(seen.eps_concept, concept, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen.eps_uncond, uncond, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(concept, uncond, rtol=1e-2, atol=1e-2)
    assert not any(t.is_inference() for t in (seen.x, seen.eps_concept, seen.eps_uncond))


def test_drawing_repeats_itself_and_depends_on_the_seed(clip):
    found = denoiser(as_loaded(), clip)
    first, again, other = (found.draw("cat", 2, seed, 2) for seed in (0, 0, 1))
    assert first.shape == (2, 4, 8, 8)
    assert torch.equal(first, again)
    assert torch.equal(first[1], other[0])  # one seed per picture
    assert not torch.equal(first[0], first[1])


def test_drawn_latents_are_in_the_models_scale(clip):
    model = as_loaded()
    found = denoiser(model, clip)
    drawn = found.draw("cat", 1, 0, 2)
    saved = model.model.process_latent_out(drawn)
    torch.testing.assert_close(found.model_latents(saved), drawn)
    assert not torch.allclose(saved, drawn)


def test_sigmas_run_from_clean_to_noisy(clip):
    found = denoiser(as_loaded(), clip)
    sigmas = found.sigmas(torch.linspace(0, 1, 11))
    own = found._model.model.model_sampling.sigmas
    assert (sigmas.diff() > 0).all()
    torch.testing.assert_close(sigmas[[0, -1]], own[[0, -1]])


def values(network: nn.Module):
    return models.weights_digest(network)


def test_loaded_weights_cannot_be_differentiated_through_until_made_ready(clip, monkeypatch):
    model = as_loaded()
    before = values(model.model)
    found = HostDenoiser(model, clip, SIDE)
    x, sigma = noised(found)
    leaf = torch.zeros(1, requires_grad=True)

    def loss():
        with attached(found.layers, lambda _, e: leaf * e.mean(-1, keepdim=True)):
            return found(x, sigma, ["cat", "cat"]).square().mean()

    with monkeypatch.context() as unready:
        unready.setattr(denoiser_module, "autograd_ready", lambda _: None)
        with pytest.raises(RuntimeError, match="nference tensors cannot be saved for backward"):
            loss().backward()
    autograd_ready(model.model)
    loss().backward()
    assert leaf.grad.abs() > 0
    assert values(model.model) == before
    assert not any(t.is_inference() for t in model.model.state_dict().values())
    assert not any(p.requires_grad for p in model.model.parameters())


def test_gradients_reach_our_leaves_only(clip):
    model = as_loaded()
    before = values(model.model)
    (increment,) = (e.increment for e in models.stack(model, clip, "cat").entries)
    found = CountingDenoiser(denoiser(model, clip))
    coef = {k: v.clone().requires_grad_() for k, v in increment.coef.items()}
    basis = increment.basis.clone()

    def branch(path, e):
        return e @ basis.T @ coef[path].T

    x, sigma = noised(found)
    with attached(found.layers, branch):
        found(x, sigma, ["cat", "cat"]).square().mean().backward()
    assert all(v.grad is not None and v.grad.abs().sum() > 0 for v in coef.values())
    assert all(p.grad is None for p in model.model.parameters())
    assert all(p.grad is None for p in clip.cond_stage_model.parameters())
    assert values(model.model) == before
    assert found.evaluations == 2 * 3  # forward and backward


def test_gradients_agree_with_finite_differences(clip):
    """Attention for gradients is torch's own, not the memory-saving one of the CPU."""
    found = denoiser(as_loaded(), clip)
    x, sigma = noised(found, 1)
    path = next(iter(found.layers))
    scale = torch.zeros((), requires_grad=True)
    # Another one for every token: attention does not see what is added to all keys alike.
    shape = (1, 77, found.layers[path].out_features)
    other = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def loss(value):
        with attached({path: found.layers[path]}, lambda _, e: value * other):
            return found(x, sigma, ["cat"]).double().square().sum()

    loss(scale).backward()
    with torch.no_grad():
        step = 1e-2
        numeric = (loss(torch.tensor(step)) - loss(torch.tensor(-step))) / (2 * step)
        rounding = torch.finfo(torch.float32).eps * float(loss(scale)) / step
    assert scale.grad.abs() > 10 * rounding
    torch.testing.assert_close(scale.grad.double(), numeric, rtol=2e-2, atol=rounding)


def test_the_host_draws_the_same_after_computing(clip):
    model = as_loaded()
    plain = models.draw(model, clip, "cat")
    found = denoiser(model, clip)
    found.trajectory("cat", 0, 2)
    assert torch.equal(models.draw(model, clip, "cat"), plain)
    assert "sampler_post_cfg_function" not in model.model_options


def test_computing_is_outside_inference_mode_and_returns_to_it():
    with torch.inference_mode():
        with computing():
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled()
        with pytest.raises(RuntimeError, match="stop"), computing():
            raise RuntimeError("stop")
        assert torch.is_inference_mode_enabled()


def test_newer_hosts_are_told_of_training_for_its_duration_only(monkeypatch):
    management = comfy.model_management
    monkeypatch.setattr(management, "in_training", False, raising=False)
    with computing():
        assert management.in_training
    assert not management.in_training


def test_newer_hosts_are_asked_for_real_weights(clip, monkeypatch):
    model = as_loaded()
    plain, asked = type(model).clone, []

    def clone(self, disable_dynamic=False):
        asked.append(disable_dynamic)
        return plain(self)

    monkeypatch.setattr(type(model), "clone", clone)
    HostDenoiser(model, clip, SIDE)
    assert asked == [True]


def test_interrupting_stops_the_next_call(clip, monkeypatch):
    class Stop(BaseException):
        pass

    def interrupt():
        raise Stop

    found = denoiser(as_loaded(), clip)
    x, sigma = noised(found)
    name = "throw_exception_if_processing_interrupted"
    monkeypatch.setattr(comfy.model_management, name, interrupt)
    with pytest.raises(Stop):
        found(x, sigma, ["cat", "cat"])
    with pytest.raises(Stop):
        found.draw("cat", 1, 0, 2)


def test_an_applied_increment_is_not_seen_by_the_denoiser_it_is_computed_with(clip):
    """StackBranch and the denoiser's own hooks add the same: one definition for both."""
    model = as_loaded()
    stack = models.stack(model, clip, "cat")
    found = denoiser(model, clip)
    x, sigma = noised(found)
    branch = StackBranch(stack)
    with torch.no_grad():
        plain = found(x, sigma, ["cat", "rose"])
        branch.begin()
        with attached(found.layers, branch):
            erased = found(x, sigma, ["cat", "rose"])
        assert not torch.equal(erased[0], plain[0])
        torch.testing.assert_close(erased[1], plain[1])
        assert torch.equal(found(x, sigma, ["cat", "rose"]), plain)


# --- memory ---------------------------------------------------------------------------------------


def free_memory(monkeypatch, n_bytes):
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda _: n_bytes)


def gradients(model, clip, increment):
    """Of every coefficient, through a whole forward pass, with the bytes kept for them."""
    found = denoiser(model, clip)
    coef = {k: v.clone().requires_grad_() for k, v in increment.coef.items()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x, sigma = noised(found)
    with attached(found.layers, lambda path, e: e @ increment.basis.T @ coef[path].T):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            eps = found(x, sigma, ["cat", "a photo of a cat"])
        eps.square().mean().backward()
    return {k: v.grad for k, v in coef.items()}, sum(kept.values())


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_gradients_are_the_same_to_the_bit_with_less_memory_and_less_is_kept(
    request, family, monkeypatch
):
    clip = request.getfixturevalue({"sd1": "clip", "sdxl": "clip_xl"}[family])
    model = as_loaded(family)
    (increment,) = (e.increment for e in models.stack(model, clip, "cat").entries)
    free_memory(monkeypatch, 2**50)
    plain, remembered = gradients(model, clip, increment)
    free_memory(monkeypatch, 0)
    again, kept = gradients(model, clip, increment)
    assert all(torch.equal(plain[k], again[k]) for k in plain)
    assert all(g.abs().sum() > 0 for g in plain.values())
    assert kept < remembered / 2


def test_blocks_are_as_before_after_a_call_short_of_memory_also_when_it_is_cancelled(
    clip, monkeypatch
):
    free_memory(monkeypatch, 0)
    found = denoiser(as_loaded(), clip)
    blocks = [m for m in found._model.model.diffusion_model.modules() if "Block" in repr(type(m))]
    assert blocks
    seen = []

    def cancel(*_):
        seen.append(sum("forward" in vars(block) for block in blocks))
        raise RuntimeError("cancelled")

    x, sigma = noised(found)
    handle = found._model.model.diffusion_model.out.register_forward_hook(cancel)
    with pytest.raises(RuntimeError, match="cancelled"):
        found(x, sigma, ["cat", "cat"])
    handle.remove()
    assert seen[0] > 0
    assert not any("forward" in vars(block) for block in blocks)


def test_a_block_that_another_node_has_changed_stays_changed(clip, monkeypatch):
    free_memory(monkeypatch, 0)
    found = denoiser(as_loaded(), clip)
    block = found._model.model.diffusion_model.middle_block[0]
    called, plain = [], block.forward
    block.forward = changed = lambda *a: called.append(1) or plain(*a)
    x, sigma = noised(found)
    found(x, sigma, ["cat", "cat"])
    assert called
    assert block.forward is changed


def test_where_in_the_network_a_block_is_stays_so_when_it_runs_again(clip, monkeypatch):
    """Patches of other nodes act by place, and the host keeps one record of the place."""
    free_memory(monkeypatch, 0)
    places = []

    def patch(n, context, value, options):
        places.append((options["block"], options["block_index"]))
        return n, context, value

    model = as_loaded()
    model.set_model_attn2_patch(patch)
    found = denoiser(model, clip)
    x, sigma = noised(found)
    leaf = torch.zeros(1, requires_grad=True)
    with attached(found.layers, lambda _, e: leaf * e.mean(-1, keepdim=True)):
        found(x, sigma, ["cat", "cat"]).sum().backward()
    n = len(places) // 2
    assert n == len(found.layers) // 2
    assert sorted(places[:n]) == sorted(places[n:])
    assert len(set(places)) == n


def test_going_back_without_what_was_attached_is_an_error_and_never_another_gradient(
    clip, monkeypatch
):
    free_memory(monkeypatch, 0)
    found = denoiser(as_loaded(), clip)
    x, sigma = noised(found)
    leaf = torch.zeros(1, requires_grad=True)
    with attached(found.layers, lambda _, e: leaf * e.mean(-1, keepdim=True)):
        eps = found(x, sigma, ["cat", "cat"])
    with pytest.raises(torch.utils.checkpoint.CheckpointError):
        eps.sum().backward()


def test_nothing_runs_twice_where_the_memory_suffices_or_no_gradient_is_asked_for(
    clip, monkeypatch
):
    found = denoiser(as_loaded(), clip)
    asked = []
    plain = recomputing.recomputing
    monkeypatch.setattr(recomputing, "recomputing", lambda n: asked.append(n) or plain(n))
    x, sigma = noised(found)
    found(x, sigma, ["cat", "cat"])
    free_memory(monkeypatch, 0)
    with torch.no_grad():
        found(x, sigma, ["cat", "cat"])
    assert not asked
    found(x, sigma, ["cat", "cat"])
    assert len(asked) == 1
