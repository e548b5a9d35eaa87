"""Keys by themselves."""

from server.api.keys import given_keys, hash_of


def test_a_given_key_owns_what_it_owned_wherever_it_stands_and_in_whichever_form() -> None:
    first, second = given_keys(["one", "two"], None, None)
    (alone,) = given_keys([f"sha256:{hash_of('two').hex()}"], None, None)
    assert alone.name == second.name
    assert first.name != second.name
    assert "two" not in second.name
