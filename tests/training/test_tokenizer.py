"""The tokenizer writes a name alike wherever it stands, and keeps every text whole."""

from hypothesis import given
from hypothesis import strategies as st

from training.corpus.synthetic import conversations
from training.pretrain.dataset import read_template, render
from training.tokenizer import train_tokenizer

TEXTS = [render(conversation, read_template()) for conversation in conversations(300, 0)]
TOKENIZER = train_tokenizer(TEXTS, 700)


def test_a_value_has_the_same_tokens_in_a_sentence_and_in_a_call() -> None:
    for name in ("Vancouver", "Sovaba", "Chicago", "14:05", "Rome"):
        said = TOKENIZER.encode(f"fly to {name}.").tokens
        written = TOKENIZER.encode(f'{{"city":"{name}","x":1}}').tokens
        value = TOKENIZER.encode(name).tokens
        for tokens in (said, written):
            assert any(tokens[i : i + len(value)] == value for i in range(len(tokens))), (name, tokens)


def test_frequent_words_take_their_blank_along() -> None:
    joined = [token[1:] for token in TOKENIZER.get_vocab() if token.startswith("\u0120") and token != "\u0120"]
    assert "is" in joined
    assert not {"Paris", "Rome"} & set(joined)
    assert TOKENIZER.encode("this is it").tokens[-2:-1] in (["\u0120is"], ["\u0120"])


def test_the_vocabulary_is_as_large_as_asked() -> None:
    assert TOKENIZER.get_vocab_size() <= 700


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text
