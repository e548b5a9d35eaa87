"""Any exception as OpenAI's error object."""

import pytest

from server.api.errors import ApiError, invalid, model_not_found, translate
from server.engine.errors import EngineStoppedError, GenerationError


def test_all_four_keys_are_always_there() -> None:
    assert invalid("no", None, None).body == {
        "error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    }


def test_what_cannot_be_encoded_is_still_answered() -> None:
    model_not_found("\ud800", "m").body["error"]["message"].encode()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (EngineStoppedError(), 503, "engine_stopped"),
        (GenerationError("NaN"), 500, "generation_failed"),
        (RuntimeError("secret path"), 500, "server_error"),
    ],
)
def test_our_own_faults_are_5xx_and_say_nothing_of_our_insides(error: Exception, status: int, code: str) -> None:
    translated = translate(error)
    assert isinstance(translated, ApiError)
    assert (translated.status, translated.body["error"]["code"]) == (status, code)
    assert "secret" not in str(translated.body)
