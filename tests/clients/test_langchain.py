"""LangChain's own integration tests for chat models, through ChatOpenAI, over both of its APIs.

Those that only a more capable model passes are named: they ask for the right words, not for the right form.
"""

from typing import Any

import pytest

pytest.importorskip("langchain_openai", reason="pip install -e '.[clients]' brings langchain-openai")
pytest.importorskip("langchain_tests", reason="pip install -e '.[clients]' brings langchain-tests")

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

NEEDS_A_SMARTER_MODEL = (
    "test_tool_calling",  # 3 as the number, not 301
    "test_tool_calling_async",
    "test_unicode_tool_call_integration",  # calls although it may talk
    "test_structured_output",  # strings without end are to end by themselves
    "test_structured_output_async",
    "test_structured_output_pydantic_2_v1",
    "test_structured_output_optional_param",
)


class _Standard(ChatModelIntegrationTests):
    uses_responses = False

    @pytest.fixture(autouse=True)
    def _needs(self, request: pytest.FixtureRequest, server_url: str) -> None:
        type(self).url = server_url
        if request.node.originalname in NEEDS_A_SMARTER_MODEL:
            request.applymarker(pytest.mark.xfail(reason="needs a smarter model", strict=False))

    url = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "trammel-tiny",
            "base_url": f"{self.url}/v1",
            "api_key": "none",
            "max_retries": 0,
            "max_tokens": 400,
            "temperature": 0,
            "stream_usage": True,
            "use_responses_api": self.uses_responses,
            "http_async_client": httpx.AsyncClient(),  # LangChain's own one outlives the test's event loop
        }


class TestChatCompletions(_Standard):
    pass


class TestResponses(_Standard):
    uses_responses = True
