"""The store of tools, on both databases."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from server.store.engine import open_database
from server.store.tools import SourceRow, ToolRow, ToolStore
from server.tools.registry import Registry
from server.tools.source import SourceSettings
from tests.server.tools.hostile import spec, written


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    file = tmp_path_factory.mktemp("tools") / "tools.db"
    engine = open_database(f"sqlite:///{file}" if request.param == "sqlite" else request.getfixturevalue("postgres"))
    yield engine
    with engine.begin() as connection:
        for table in ("tool_versions", "tools", "tool_sources"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    engine.dispose()


def test_a_source_its_tools_and_their_versions_are_kept(engine: sa.Engine) -> None:
    store = ToolStore(engine)
    source = SourceRow("shop", "openapi", "https://a/openapi.json", {"trust": "trusted"}, {"etag": '"1"'})
    tools = [ToolRow("a", "shop", "GET /a", live="v1"), ToolRow("b", "shop", "GET /b", held="v1")]
    store.put(source, tools, {"a": {"n": 1}, "b": {"n": 2}})
    (found,) = store.sources()
    assert (found.name, found.settings, found.reading) == ("shop", {"trust": "trusted"}, {"etag": '"1"'})
    assert store.tools("shop") == tools
    assert {(one.tool, one.version, one.definition["n"]) for one in store.versions()} == {
        ("a", "v1", 1),
        ("b", "v1", 2),
    }
    assert [one.tool for one in store.versions(["b"])] == ["b"]
    store.put(source, [ToolRow("a", "shop", "GET /a", live="v2")], {"a": {"n": 3}})
    assert [(one.tool, one.version) for one in store.versions(["a"], "shop")] == [("a", "v1"), ("a", "v2")]


def test_every_change_shows_in_the_generation(engine: sa.Engine) -> None:
    store = ToolStore(engine)
    source = SourceRow("shop", "openapi", "")
    seen = [store.generations()]
    store.put(source, [ToolRow("a", "shop", "a", live="v1")], {"a": {}})
    seen.append(store.generations())
    store.change(ToolRow("a", "shop", "a", is_enabled=False, overrides={"effect": "read"}, live="v1"))
    seen.append(store.generations())
    assert store.tools()[0].overrides == {"effect": "read"}
    store.put(source)
    seen.append(store.generations())
    assert store.remove("shop")
    assert not store.remove("shop")
    seen.append(store.generations())
    assert len({str(one) for one in seen}) == 4  # the first and the last are empty
    assert seen[0] == seen[-1] == {}
    assert store.tools() == store.versions() == []


async def test_a_registry_lives_in_either_database(engine: sa.Engine) -> None:
    registry = Registry(ToolStore(engine))
    await registry.add("shop", "", SourceSettings(), written(spec()))
    other = Registry(ToolStore(engine))
    other.load()
    assert other["get_thing"].version == registry["get_thing"].version
    await other.change("get_thing", is_enabled=False)
    registry.load()
    assert len(registry) == 0
