"""Headers read as the gguf package reads them; damaged ones refused."""

import contextlib

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.gguf_header import HeaderError, read_header

from .conftest import MODEL

HEAD = MODEL.read_bytes()[:400_000]


def test_a_header_is_read_as_the_gguf_package_reads_it() -> None:
    ours, theirs = read_header(MODEL), gguf.GGUFReader(MODEL)
    assert {name: t.shape for name, t in ours.tensors.items()} == {
        t.name: tuple(int(n) for n in t.shape) for t in theirs.tensors
    }
    assert {name: t.kind for name, t in ours.tensors.items()} == {t.name: t.tensor_type for t in theirs.tensors}
    assert all(value == theirs.fields[key].contents() for key, value in ours.metadata.items())
    assert ours.architecture == "llama"
    assert ours.number("block_count") == 8
    assert ours.by_layer("attention.head_count_kv", 8) == [2] * 8
    assert ours.file_bytes == MODEL.stat().st_size


@given(length=st.integers(0, 60_000))
def test_a_header_cut_off_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    path.write_bytes(HEAD[:length])
    with pytest.raises(HeaderError):
        read_header(path)


@given(place=st.integers(0, 2_000), byte=st.integers(0, 255))
def test_a_header_with_a_changed_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    path.write_bytes(HEAD[:place] + bytes([byte]) + HEAD[place + 1 :])
    with contextlib.suppress(HeaderError):
        assert read_header(path).file_bytes == len(HEAD)
