"""pycolmap, loaded without what its log does to a signal."""

import signal
import threading
from types import ModuleType


def load_pycolmap() -> ModuleType:
    """Return pycolmap; SIGTERM does what it did before.

    Its log (glog) takes SIGTERM for a crash: it prints a stack and ends the process where it
    stands, with locks held and unfinished files left.

    Raises:
        ImportError: it is not installed.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
    return pycolmap
