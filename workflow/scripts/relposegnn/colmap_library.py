"""pycolmap, imported without its handler of SIGTERM."""

import signal
import threading
from types import ModuleType


def load_pycolmap() -> ModuleType:
    """Return pycolmap, and keep the handler of SIGTERM.

    Its log (glog) would treat SIGTERM as a crash: it prints a stack trace and ends the process at
    once, which leaves locks and unfinished files behind.

    Raises:
        ImportError: it is not installed.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
    return pycolmap
