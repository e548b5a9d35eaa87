"""Goes on with a model under another tokenizer: what it knows of words is carried over, token by token."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training.pretrain import attention
from training.pretrain.start import model_and_tokenizer
from training.tokenizer import load_tokenizer


def continue_model(start: Path, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """The model of an earlier run or a GGUF file, its embeddings rearranged where `tokenizer` isn't the one it had.

    A token of the same text keeps its embedding; another begins as the mean of what its text was split into before.
    Raises: OSError, ExportError; ValueError, if it is of another architecture.
    """
    folder, tokenizer_file = model_and_tokenizer(start)
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention.register()
    )
    earlier = load_tokenizer(tokenizer_file)
    if earlier.to_str() != tokenizer.to_str():
        _rearrange(model, earlier, tokenizer)
    return model


def _rearrange(model: LlamaForCausalLM, earlier: Tokenizer, tokenizer: Tokenizer) -> None:
    old = model.get_input_embeddings().weight.detach().clone()
    known = earlier.get_vocab()
    rows = []
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        if token in known:
            rows.append(old[known[token]])
            continue
        text = tokenizer.decode([number], skip_special_tokens=False)
        # a word after a blank was one token more often than the bare word
        pieces = min((earlier.encode(text).ids, earlier.encode(f" {text}").ids), key=len)
        rows.append(old[pieces].mean(0) if pieces else old.mean(0))
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.stack(rows))
