"""Run one server and end it with its owner: ``python guard.py JSON``, with the fields of `main` as JSON.

The owner holds the other end of standard input. Each byte it writes is the number of a signal for the server. The end
of the input means that the owner is gone, however it went: the kernel closes the pipe of a process that was killed
with ``-9`` too. Then the server is ended and its directory removed.

Why a pipe and a process of its own: ``PR_SET_PDEATHSIG`` exists on Linux only, fires when the *thread* that started the
server ends, and is lost when the server changes its user. And as the guard is the parent of the server, a signal can
never hit another process that was given the same process id. One hole is left: a child that the owner forks without
``exec`` inherits the pipe and keeps the server alive as long as it lives itself.

This file is run with ``python -I -S`` so that a guard costs little: the standard library only, nothing of ours.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading


def main(command: list[str], directory: str, user: str | None, last_signal: int, grace: float) -> int:
    """Run ``command`` as ``user`` with its output where ours goes; return the exit code that a shell would give.

    When the owner is gone the server gets ``last_signal`` and, ``grace`` seconds later, ``SIGKILL``; then
    ``directory`` is removed. A server that ends by itself, or by a signal that the owner asked for, leaves it.
    """
    # A handler that does nothing, instead of SIG_IGN, which the server would inherit.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    identity = {} if user is None else {"user": user, "group": _group_of(user), "extra_groups": []}
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=directory, **identity)  # type: ignore[call-overload]
    owner_gone = threading.Event()
    threading.Thread(target=_obey, args=(server, owner_gone, last_signal, grace), daemon=True).start()
    code: int = server.wait()
    if owner_gone.is_set():
        shutil.rmtree(directory, ignore_errors=True)
    return code if code >= 0 else 128 - code


def _group_of(user: str) -> int:
    import pwd  # not on Windows, where no user is ever given

    return pwd.getpwnam(user).pw_gid


def _obey(server: subprocess.Popen[bytes], owner_gone: threading.Event, last_signal: int, grace: float) -> None:
    while byte := os.read(0, 1):
        server.send_signal(byte[0])
    owner_gone.set()
    server.send_signal(last_signal)
    server.send_signal(signal.SIGCONT)  # a stopped server would never see the one before
    killer = threading.Timer(grace, server.kill)
    killer.daemon = True
    killer.start()


if __name__ == "__main__":
    os._exit(main(**json.loads(sys.argv[1])))  # at once: a thread may still be blocked in its read
