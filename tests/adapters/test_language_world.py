"""The world with language in the host's own classes: what is trained is what the host runs."""

import comfy.ldm.lumina.model
import comfy.model_base
import comfy.ops
import comfy.sample
import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from demo.autoencoder import Autoencoder
from demo.language import gguf, loader, text_encoder
from demo.language.config import D_HEAD, LANGUAGE_MODEL, MODEL, TEMPLATE
from demo.language.train import evaluate
from demo.language.train.language_model import N_LAYERS, hidden_states
from demo.language.train.network import NextDiT
from launch import language_model

PROMPTS = ["", "a photo of a cat", "two dogs, 2024 (and an apple)!"]


@pytest.fixture(scope="module")
def file() -> gguf.File:
    return gguf.File(language_model.prepare())


@pytest.fixture(scope="module")
def language_clip(file):
    return text_encoder.load(file.path)


@pytest.fixture(scope="module")
def network() -> NextDiT:
    """Random weights, also where training begins with zeros."""
    torch.manual_seed(0)
    network = NextDiT().eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, float(weight.ndim < 2), 0.05)
    return network


def tokens(clip, prompt: str) -> list[int]:
    return [token for token, _ in clip.tokenize(prompt)[text_encoder.KEY][0]]


def rows(clip, prompt: str) -> torch.Tensor:
    return clip.encode_from_tokens_scheduled(clip.tokenize(prompt))[0][0]


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest relative difference of a row."""
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()


def test_prompts_are_asked_in_the_chat_format_with_digits_apart(language_clip):
    start, end, new_line = 1, 2, 198
    found = tokens(language_clip, "a cat")
    assert found[0] == start and found[2] == new_line, "<|im_start|>user"
    assert found[5:] == [end, new_line, start, *found[8:10], new_line], "<|im_end|>, assistant"
    inner = getattr(language_clip.tokenizer, text_encoder.KEY).tokenizer
    assert inner.decode(found) == TEMPLATE.format("a cat")
    assert tokens(language_clip, "2024")[3:7] == [34, 32, 34, 36]


@torch.no_grad()
def test_the_hosts_llama_gives_what_transformers_gives(file, language_clip):
    weights = text_encoder.weights(file)
    fields = {key: value for key, value in LANGUAGE_MODEL.items() if key != "rope_theta"}
    theta = {"rope_type": "default", "rope_theta": LANGUAGE_MODEL["rope_theta"]}
    reference = LlamaModel(LlamaConfig(**fields, rope_parameters=theta)).eval()
    reference.load_state_dict({name.removeprefix("model."): w for name, w in weights.items()})
    for prompt in PROMPTS:
        ids = torch.tensor([tokens(language_clip, prompt)])
        expected = reference(ids, output_hidden_states=True).hidden_states[-2]
        assert difference(rows(language_clip, prompt), expected) < 1e-4
        other = reference(ids, output_hidden_states=True).hidden_states[-3]
        assert difference(rows(language_clip, prompt), other) > 1e-2, "no other layer"


def test_training_encodes_captions_as_the_host_does(file, language_clip):
    def layer(i: int) -> dict[str, torch.Tensor]:
        prefix = f"blk.{i}."
        names = [name for name in file.names() if name.startswith(prefix)]
        found = {name.removeprefix(prefix): file.tensor(name) for name in names}
        for name in ("attn_q.weight", "attn_k.weight"):
            found[name] = gguf.unpermute(found[name], D_HEAD)
        return found

    embedded = file.tensor("token_embd.weight")[tokens(language_clip, PROMPTS[1])]
    found = hidden_states(embedded[None], [layer(i) for i in range(N_LAYERS)])
    assert difference(found, rows(language_clip, PROMPTS[1])) < 1e-4


@pytest.mark.parametrize("n_rows", [9, 16, 17])
@torch.no_grad()
def test_the_hosts_nextdit_draws_what_the_trained_one_draws(network, n_rows):
    host = comfy.ldm.lumina.model.NextDiT(
        **MODEL, device="cpu", dtype=torch.float32, operations=comfy.ops.manual_cast
    )
    host.load_state_dict(network.state_dict())
    x, sigma = torch.randn(2, 16, 8, 8), torch.tensor([0.9, 0.2])
    prompt = torch.randn(2, n_rows, MODEL["cap_feat_dim"])
    found = host(x, sigma, prompt, n_rows)
    assert torch.allclose(drawn(network, x, sigma, prompt), found, atol=1e-4, rtol=1e-4)
    assert found.std() > 0.1


def drawn(network: NextDiT, x, sigma, prompt):
    padded = torch.nn.functional.pad(prompt, (0, 0, 0, -prompt.shape[1] % 16))
    return network(x, sigma, padded, torch.full((len(x),), prompt.shape[1]))


@torch.no_grad()
def test_a_ksampler_goes_the_way_that_was_trained(network, language_clip):
    model = loader.model(network.state_dict())
    assert isinstance(model.model, comfy.model_base.Lumina2)
    noise = torch.randn(2, 16, 8, 8)
    conditions = [
        language_clip.encode_from_tokens_scheduled(language_clip.tokenize(prompt))
        for prompt in ("a cat in the garden of a friend", "")
    ]
    sampled = comfy.sample.sample(
        model, noise, 4, 4.0, "euler", "simple", *conditions, torch.zeros_like(noise), seed=0
    )
    prompt, nothing = (padded(condition[0][0]) for condition in conditions)
    drawing = evaluate.Drawing(network, torch.nn.Identity(), nothing)
    rows, n_rows = (part.expand(2, *part.shape[1:]) for part in prompt)
    expected = evaluate.sample(drawing, noise, rows, n_rows, 4.0, evaluate.sigmas(4))
    found = model.model.process_latent_in(sampled)
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-3)


def padded(prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.nn.functional.pad(prompt, (0, 0, 0, -prompt.shape[1] % 16))
    return rows, torch.tensor([prompt.shape[1]])


@torch.no_grad()
def test_the_hosts_vae_undoes_the_hosts_scaling_of_latents(network):
    torch.manual_seed(0)
    trained = Autoencoder(16)
    vae = loader.vae(trained.state_dict())
    model = loader.model(network.state_dict()).model
    images = torch.rand(1, 64, 64, 3)
    latents = model.process_latent_in(vae.encode(images))
    assert torch.allclose(latents, trained.encode(images.movedim(-1, 1)), atol=1e-5)
    decoded = vae.decode(model.process_latent_out(latents))
    expected = trained.decode(latents).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(decoded, expected, atol=1e-5)


def test_weights_of_another_size_are_refused(network):
    weights = network.state_dict() | {"x_embedder.bias": torch.zeros(7)}
    with pytest.raises(RuntimeError, match=r"x_embedder\.bias"):
        loader.model(weights)
