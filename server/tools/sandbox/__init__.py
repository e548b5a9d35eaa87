"""Running commands and generated code where they can do no harm."""

from server.tools.sandbox.bounds import Bounds, Ended, Job, Outcome
from server.tools.sandbox.choice import NoSandboxError, Sandbox, find_sandbox

__all__ = ["Bounds", "Ended", "Job", "NoSandboxError", "Outcome", "Sandbox", "find_sandbox"]
