"""Stands for a command, and ends as its argument says:

python -m tests.faults.ends raises
"""

import os
import signal
import sys
import time


def main(end: str) -> None:
    match end:
        case "raises":
            raise ValueError("bad")
        case "waits":
            time.sleep(60)
        case "computes":
            while True:
                pass
        case "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "says":
            sys.exit("ends: x.json: expected y")
        case "writes":
            with open(sys.argv[2], "wb") as file:
                file.write(bytes(9999))


if __name__ == "__main__":
    main(sys.argv[1])
