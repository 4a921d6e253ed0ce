"""uvicorn as it is started here: ``python -m config.server`` with uvicorn's own options.

After a clean shutdown uvicorn raises the signal that asked for it once more, and the process
would die of it. An operator's tools count that as a failure: here the end is exit code 0.
"""

import signal
import sys
from types import FrameType

from uvicorn.main import main


def _end(number: int, frame: FrameType | None) -> None:
    """What SIGTERM does before uvicorn listens to it, and once it has shut down."""
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    main()
