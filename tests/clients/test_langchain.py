"""LangChain's own integration tests for chat models, through ChatOpenAI, over both of its APIs.

Those that only a more capable model passes are named: they ask for the right words, not for the right form.
"""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("langchain_openai", reason="pip install -e '.[clients]' brings langchain-openai")
pytest.importorskip("langchain_tests", reason="pip install -e '.[clients]' brings langchain-tests")

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tests.conftest import MODEL, running_server

NEEDS_A_SMARTER_MODEL = (
    "test_tool_calling",  # 3 as the number, not 301
    "test_tool_calling_async",
    "test_unicode_tool_call_integration",  # calls although it may talk
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The model that ships, under two names: LangChain may name another model in each call."""
    with running_server("--model", str(MODEL), "--model", f"other={MODEL}") as server:
        yield server.url


class _Standard(ChatModelIntegrationTests):
    uses_responses = False

    @pytest.fixture(autouse=True)
    def _needs(self, request: pytest.FixtureRequest, url: str) -> None:
        type(self).url = url
        if request.node.originalname in NEEDS_A_SMARTER_MODEL:
            request.applymarker(pytest.mark.xfail(reason="needs a smarter model", strict=False))

    url = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "other"

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "trammel-tiny",
            "base_url": f"{self.url}/v1",
            "api_key": "none",
            "max_retries": 0,
            "max_tokens": 400,
            "temperature": 0,
            "extra_body": {"trammel": {"fit": True}},  # strings that the model would not end are ended in time
            "stream_usage": True,
            "use_responses_api": self.uses_responses,
            "http_async_client": httpx.AsyncClient(),  # LangChain's own one outlives the test's event loop
        }


class TestChatCompletions(_Standard):
    pass


class TestResponses(_Standard):
    uses_responses = True
