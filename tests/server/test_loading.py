"""What happens once when a model is loaded."""

from typing import Any

import pytest

from server.api.services import Services
from server.app import load_services
from server.chat import conversation
from server.settings import Settings
from tests.conftest import MODEL


def test_a_models_dialect_is_derived_once_and_its_vocabulary_speaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    derive, derived = conversation.dialect_of, list[Any]()
    monkeypatch.setattr(conversation, "dialect_of", lambda template: derived.append(derive(template)) or derived[-1])
    services = load_services("m", MODEL, Settings(model=[str(MODEL)], threads=1))
    assert isinstance(services, Services)
    assert derived == [services.conversations.dialect]
    assert b"<tool_call>" in services.engine.model.vocabulary.pieces
    services.engine.discard()
