"""A folder of text files."""

from evals.case import Json
from evals.worlds.world import Tool, World, WorldError, text


def _list(state: Json) -> Json:
    return {"files": sorted(state["files"])}


def _read(state: Json, path: str) -> Json:
    return {"path": path, "content": _content(state, path)}


def _write(state: Json, path: str, content: str) -> Json:
    state["files"][path] = content
    return {"written": path}


def _delete(state: Json, path: str) -> Json:
    _content(state, path)
    del state["files"][path]
    return {"deleted": path}


def _move(state: Json, path: str, new_path: str) -> Json:
    if new_path in state["files"]:
        raise WorldError(f"{new_path} exists already")
    state["files"][new_path] = _content(state, path)
    del state["files"][path]
    return {"moved": new_path}


def _content(state: Json, path: str) -> str:
    if path not in state["files"]:
        raise WorldError(f"{path} does not exist")
    return str(state["files"][path])


_PATH = text("Name of the file")

FILES = World(
    "files",
    (
        Tool("list_files", "List the files.", {}, _list),
        Tool("read_file", "Read a file.", {"path": _PATH}, _read),
        Tool("write_file", "Write a file, replacing what was in it.", {"path": _PATH, "content": text("Text")}, _write),
        Tool("delete_file", "Delete a file.", {"path": _PATH}, _delete),
        Tool("move_file", "Rename a file.", {"path": _PATH, "new_path": text("Its new name")}, _move),
    ),
    {"files": {"notes.txt": "buy milk", "todo.txt": "call Ada", "old.log": "42 errors"}},
)
