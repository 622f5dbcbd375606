"""The first process of an edge: starts the other two, leads them by their leashes, and starts again what crashes.

It owns the signals and the exit code, and is small in every sense: nothing that a request, the API or the network
can do reaches it. Between the two processes it carries no message; whenever one of them has been started, both get an
end of a new socket pair, which is the seam between them (`edge.seam`).

* SIGTERM or SIGINT: both are told to stop; the data plane drains. The second signal ends them at once.
* Before the edge is up, the end of one is the end of all, with its exit code: its last line says what was wrong.
* Afterwards an end that nobody asked for is logged, and the process started again, however often that takes.
* If this process is killed, the leashes end, and so do the others: whoever starts the edge anew finds its addresses
  and its directory free.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from .notice import say
from .restarts import Restarts

__all__ = ["command_of", "main"]

KILL_DELAY = 1.0
"""Seconds that a process has to end at once before it is ended."""
LAST_DELAY = 10.0
"""Seconds that the control process has to stop after the data plane has."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CONTROL, PLANE = "control process", "data plane"


def command_of(module: str, descriptor: int) -> list[str]:
    """Return the command line of a process of an edge; -P keeps the working directory out of its imports."""
    return [sys.executable, "-P", "-m", module, str(descriptor)]


class Child:
    """A process that is to run."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.leash: socket.socket | None = None
        self.restart_at: float | None = 0.0
        """When it is to be started; None while it runs, and when it is not to be."""
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._restarts = Restarts()

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """Start a process with one end of a leash."""
        ours, theirs = socket.socketpair()
        self.restart_at = None
        self._started = time.monotonic()
        # They keep the mask: signals are for this process, even those that a terminal sends to all.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603
                    command_of(self._module, theirs.fileno()), pass_fds=(theirs.fileno(),)
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ours.setblocking(False)
        self.leash = ours

    def tell(self, order: str, descriptor: int | None = None) -> None:
        """Give an order, perhaps with a descriptor; one that does not read any more is about to end anyway."""
        if self.leash is None:
            return
        try:
            line = f"{order}\n".encode()
            socket.send_fds(self.leash, [line], [] if descriptor is None else [descriptor])
        except OSError:
            return

    def ended(self) -> int | None:
        """Return the code of a process that has ended since the last time, as `subprocess` gives it."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._process = None
        return code

    def let_go(self) -> None:
        """Close the leash of a process that has ended."""
        if self.leash is not None:
            self.leash.close()
            self.leash = None

    def plan_restart(self) -> float:
        """Have it started again, and return in how many seconds."""
        now = time.monotonic()
        delay = self._restarts.delay_after(now - self._started)
        self.restart_at = now + delay
        return delay

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()


class Supervisor:
    """One edge."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._up = ""
        """What the control process said when the edge was up, for those that come after it; JSON."""
        self._control = Child(CONTROL, "app.control")
        self._plane = Child(PLANE, "edge.main")
        self._children = (self._control, self._plane)
        self._stopping = False
        self._at_once = False
        self._kill_at: float | None = None
        self._exit_code = 0
        self._selector = selectors.DefaultSelector()
        self._signals, write = socket.socketpair()
        self._signals.setblocking(False)
        write.setblocking(False)
        self._write = write
        self._words = b""

    def run(self) -> int:
        """Serve until told to stop, and return the exit code."""
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._write.fileno())
        self._selector.register(self._signals, selectors.EVENT_READ, self._on_signals)
        while True:
            self._start_what_is_due()
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            for child in self._children:
                self._reap(child)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._kill_at = None
                for child in self._children:
                    child.kill()
            if self._stopping and not any(child.running for child in self._children):
                return self._exit_code

    def _timeout(self) -> float | None:
        times = [self._kill_at, *(child.restart_at for child in self._children)]
        due = [moment for moment in times if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    # -- starting --------------------------------------------------------------------------------------------------

    def _start_what_is_due(self) -> None:
        now = time.monotonic()
        due = [child for child in self._children if child.restart_at is not None and child.restart_at <= now]
        for child in due:
            child.start()
            assert child.leash is not None
            if child is self._control:
                before = json.loads(self._up) if self._up else None
                child.tell("begin " + json.dumps({"settings": self._settings, "before": before}))
                self._words = b""
                self._selector.register(child.leash, selectors.EVENT_READ, self._on_words)
        if due and all(child.running for child in self._children):
            for child, end in zip(self._children, socket.socketpair(), strict=True):
                with end:
                    child.tell("seam", end.fileno())

    def _on_words(self) -> None:
        """The control process says something."""
        leash = self._control.leash
        assert leash is not None
        try:
            data = leash.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hear_no_more()
            return
        *lines, self._words = (self._words + data).split(b"\n")
        for line in lines:
            word, _, text = line.decode().partition(" ")
            if word == "up":
                self._up = text

    def _hear_no_more(self) -> None:
        leash = self._control.leash
        if leash is not None and leash in self._selector.get_map():
            self._selector.unregister(leash)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _reap(self, child: Child) -> None:
        code = child.ended()
        if code is None:
            return
        if child is self._control:
            self._hear_no_more()
        child.let_go()
        if self._stopping:
            if code and not self._at_once:
                self._exit_code = self._exit_code or max(code, 1)
                self._say("error", f"{child.name} ended badly", how=_how(code))
            if child is self._plane and self._kill_at is None:
                self._kill_at = time.monotonic() + LAST_DELAY
        elif not self._up:
            self._exit_code = max(code, 1)
            if code <= 0:
                self._say("error", f"{child.name} ended before the edge was up", how=_how(code))
            self._end_at_once()
        else:
            delay = child.plan_restart()
            self._say("error", f"{child.name} ended: it is started again", how=_how(code), delay=delay)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        for number in self._signals.recv(4096):
            if number not in STOP_SIGNALS:
                continue
            if not self._stopping:
                self._stopping = True
                for child in self._children:
                    child.restart_at = None
                    child.tell("stop")
            elif not self._at_once:
                print("error: stopped at once by a second signal", file=sys.stderr, flush=True)
                self._exit_code = 1
                self._end_at_once()

    def _end_at_once(self) -> None:
        self._stopping = self._at_once = True
        for child in self._children:
            child.restart_at = None
            child.tell("now")
        self._kill_at = time.monotonic() + KILL_DELAY

    def _say(self, level: str, event: str, **values: object) -> None:
        say(level, event, log_format=self._settings["log_format"], **values)


def _how(code: int) -> str:
    """Say in words what `subprocess` says in a number."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def main() -> int:
    """Run an edge whose settings can be read from the descriptor given, and return the exit code."""
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        settings = json.load(pipe)
    return Supervisor(settings).run()


if __name__ == "__main__":
    sys.exit(main())
