"""`trammel serve` with a fault at hand: on SIGUSR1 the thread of the engine that works hardest gets an exception.

Run with `python -m`, in the place of the console command. The exception is raised by CPython itself at whatever place
the thread is (PyThreadState_SetAsyncExc), so that nothing in the server knows of it. That place may be one from where
no exception gets out (a call back from C, say): it is raised again until the thread has died of it.
"""

import ctypes
import signal
import threading
import time
from types import FrameType

from server.cli import main
from server.engine.worker import Worker


class FaultError(BaseException):
    """Not an Exception: no guard of a single generation takes it for that one's failure."""


def strike(_: int, __: FrameType | None) -> None:
    workers = [thread for thread in threading.enumerate() if isinstance(thread, Worker)]
    busiest = max(workers, key=lambda worker: worker.stats().running)
    threading.Thread(target=kill, args=[busiest], daemon=True).start()


def kill(worker: Worker) -> None:
    while worker.fault is None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(FaultError))
        time.sleep(0.5)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, strike)
    main()
