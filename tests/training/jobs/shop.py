"""A home with a database in it, as a server and a worker share one."""

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from server.store.engine import open_database
from server.store.files import FileStore
from server.store.home import Home
from server.store.jobs import Job, JobRequest, JobStore
from server.store.leases import Leases
from tests.conftest import MODEL
from training.jobs.attempt import Attempt, Shop

Json = dict[str, Any]


def talk(text: str) -> Json:
    return {"messages": [{"role": "user", "content": f"Say {text}"}, {"role": "assistant", "content": text}]}


def pair(good: str = "yes", bad: str = "no") -> Json:
    return {
        "input": {"messages": [{"role": "user", "content": "Well?"}]},
        "preferred_output": [{"role": "assistant", "content": good}],
        "non_preferred_output": [{"role": "assistant", "content": bad}],
    }


@dataclass
class Place:
    """What a test sees of it."""

    home: Home
    engine: sa.Engine
    jobs: JobStore
    files: FileStore

    @staticmethod
    def of(folder: Path) -> "Place":
        home = Home(folder).make()
        engine = open_database(f"sqlite:///{home.database}")
        return Place(home, engine, JobStore(engine), FileStore(engine, home))

    def upload(self, lines: list[Any]) -> str:
        id_, path = self.files.new_place()
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return self.files.add(id_, "", "train.jsonl", "fine-tune").id

    def create(self, file: str, **changes: Any) -> str:
        request = replace(JobRequest("trammel-tiny", str(MODEL), file), **changes)
        return self.jobs.create("ftjob-0123456789", "", request, []).id

    def shop(self, **changes: Any) -> Shop:
        return replace(Shop(self.home, self.files, {}, 1, threading.Event()), **changes)

    def work(self, **changes: Any) -> Job:
        """Do what waits, in this process; the job as it is then."""
        lease = Leases(self.engine).take(30)
        assert lease
        Attempt(lease, self.shop(**changes)).make()
        job = self.jobs.get(lease.job.id, None)
        assert job
        return job

    def told(self, job: str) -> list[str]:
        return [entry.body["message"] for entry in reversed(self.jobs.events(job, 1000))]
