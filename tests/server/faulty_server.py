"""`trammel serve` with a fault at hand: on SIGUSR1 the thread of the engine that works hardest gets an exception.

Run with `python -m`, in the place of the console command. The exception is raised by CPython itself at whatever place
the thread is (PyThreadState_SetAsyncExc), so that nothing in the server knows of it.
"""

import ctypes
import signal
import threading
from types import FrameType

from server.cli import main
from server.engine.worker import Worker


class FaultError(BaseException):
    """Not an Exception: no guard of a single generation takes it for that one's failure."""


def strike(_: int, __: FrameType | None) -> None:
    workers = [thread for thread in threading.enumerate() if isinstance(thread, Worker)]
    busiest = max(workers, key=lambda worker: worker.stats().running)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(busiest.ident or 0), ctypes.py_object(FaultError))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, strike)
    main()
