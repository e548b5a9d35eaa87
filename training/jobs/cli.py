"""`trammel worker`. Imports nothing heavy: every command of `trammel` loads this module."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

_NEEDED = ("torch", "transformers", "peft", "trl")


def worker(
    home: Annotated[Path, typer.Option(help="The server's home folder.", envvar="TRAMMEL_HOME")],
    store: Annotated[
        str | None, typer.Option(help="The server's database, if it is not in the home folder.", envvar="TRAMMEL_STORE")
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH: this machine's copy of a model, as GGUF or in Hugging Face's form."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; by default all cores.")] = None,
    lease: Annotated[float, typer.Option(min=2, help="Seconds after which a dead worker's job is another's.")] = 30,
    poll: Annotated[float, typer.Option(min=0.05, help="Seconds between looks for a job.")] = 1,
    until_idle: Annotated[bool, typer.Option(help="End when no job waits.")] = False,
    beside_server: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Do a server's fine-tuning jobs: train, report, hand the adapters over. SIGTERM ends it after the step it does."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        _fail(f"this command needs {missing[0]}; install it with: pip install -c constraints.txt -e '.[train]'")
    from server.store.engine import DatabaseError, database_url, open_database
    from server.store.files import FileStore
    from server.store.home import Home
    from server.store.leases import Leases
    from training.jobs.attempt import Shop
    from training.jobs.worker import Worker

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    named = dict(_named(text) for text in base or [])
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    if beside_server:
        os.nice(10)
        threading.Thread(target=_end_with_input, args=(ending.set,), daemon=True).start()
    try:
        place = Home(home.resolve()).make()
        engine = open_database(database_url(store or str(place.database)))
    except (DatabaseError, OSError) as error:
        _fail(str(error))
    shop = Shop(place, FileStore(engine, place), named, threads, ending)
    try:
        Worker(Leases(engine), shop, lease, poll).work(until_idle=until_idle)
    finally:
        engine.dispose()


def _named(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not sign or not path:
        _fail(f"{text!r} is not NAME=PATH")
    return name, Path(path).resolve()


def _end_with_input(end: Callable[[], None]) -> None:
    """The server that started us holds the other end of the pipe; when it is gone, however it went, so are we."""
    sys.stdin.read()
    end()


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
