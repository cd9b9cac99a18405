"""SmolLM2's own tokenizer, made from the metadata of its GGUF file."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from demo.language.gguf import File

CONTROL = 3  # the kind of token that marks a turn's start or end and is never text
PADDING = "<|endoftext|>"


def build(file: File) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers gives it; it adds no tokens of its own."""
    texts, kinds = (file.metadata[f"tokenizer.ggml.{part}"] for part in ("tokens", "token_type"))
    merges = [tuple(pair.split(" ")) for pair in file.metadata["tokenizer.ggml.merges"]]
    vocabulary = {text: number for number, text in enumerate(texts)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [text for text, kind in zip(texts, kinds, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in control])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PADDING)
