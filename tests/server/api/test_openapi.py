"""What our OpenAPI document says of errors and streams."""

from fastapi import APIRouter, FastAPI

from server.api import openapi, response_routes, routes, run_routes


def described() -> dict[str, object]:
    app = FastAPI(title="t", version="1")
    for one in (routes, response_routes, run_routes):
        router: APIRouter = one.router
        app.include_router(router)
    openapi.describe(app)
    return app.openapi()


def test_every_operation_has_openais_errors_and_none_fastapis() -> None:
    document = described()
    assert "422" not in str(document)
    assert "ValidationError" not in str(document)
    for path, operations in document["paths"].items():  # type: ignore[attr-defined]
        for operation in operations.values():
            assert ("4XX" in operation["responses"]) == (path not in ("/healthz", "/readyz"))


def test_streams_are_named() -> None:
    paths = described()["paths"]
    assert set(paths["/v1/responses"]["post"]["responses"]["200"]["content"]) == {  # type: ignore[index]
        "application/json",
        "text/event-stream",
    }
    assert set(paths["/v1/runs/{run_id}/events"]["get"]["responses"]["200"]["content"]) == {"text/event-stream"}  # type: ignore[index]
