"""Runs commands of the project in forks of one process that has imported TensorFlow:

    python tests/command_server.py

The import takes five seconds of a processor, and the tests run more than a hundred commands. Apart
from it, a fork is what `python -m` would start: a process of its own with the command as its main
module. Reads requests from standard input, one JSON object per line: `module`, `args`, `env`, the
paths `stdout` and `stderr`, `timeout` in seconds, `limits`, by their names in `resource`, and
`kill_after`: null, or the seconds of a processor after which the command is killed, with what it
started. Answers each with a line: the exit status, and the seconds of a processor.
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
        if kill_after is not None:
            _kill(child, kill_after)
        _, status, used = os.wait4(child, 0)
        print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)


def _kill(child, seconds):
    """Kills a child once it has used so much of a processor, or leaves it if it ends before."""
    os.setpgid(child, child)  # if the child has not come to it
    ticks = seconds * os.sysconf("SC_CLK_TCK")
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        # After the name, which can have spaces; user and system time are the fields 14 and 15.
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        if int(fields[11]) + int(fields[12]) >= ticks:
            os.killpg(child, signal.SIGKILL)
            return
        time.sleep(0.005)


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
