"""Runs commands of the project in forks of one process that has imported TensorFlow:

    python tests/command_server.py

The import takes five seconds of a processor, and the tests run more than a hundred commands. Apart
from it, a fork is what `python -m` would start: a process of its own with the command as its main
module. Reads requests from standard input, one JSON object per line: `module`, `args`, `env`, the
paths `stdout` and `stderr`, `timeout` in seconds, `limits`, by their names in `resource`, and
`kill_after`: null, or the seconds until the command and what it started are killed. Answers each
with a line: the exit status.
"""

import gc
import json
import os
import resource
import runpy
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    sys.path[0] = str(ROOT)
    os.chdir(ROOT)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as a command sets it, before TensorFlow
    sys.argv[0] = "-m"  # as while Python starts a command, which imports only what it needs
    from biva_tf import quiet

    with quiet.start_up_notes():
        import biva_tf.api
        import biva_tf.training.run  # noqa: F401

    gc.freeze()  # so that a collection in a fork does not copy all that was imported

    for line in sys.stdin:
        request = json.loads(line)
        kill_after = request.pop("kill_after")
        child = os.fork()
        if not child:
            if kill_after is not None:
                os.setpgid(0, 0)
            _become(**request)
            return
        status = _end(child) if kill_after is None else _end_or_kill(child, kill_after)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _end(child):
    return os.waitpid(child, 0)[1]


def _end_or_kill(child, seconds):
    os.setpgid(child, child)  # if the child has not come to it
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(min(0.01, max(0.0, end - time.monotonic())))
    os.killpg(child, signal.SIGKILL)
    return _end(child)


def _become(module, args, env, stdout, stderr, timeout, limits):
    signal.alarm(timeout)  # ends the process
    for name, value in limits.items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (value, hard))  # each soft limit has a signal of its own
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
