"""A whole stack of a test's own, started and spoken to as a user does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local.ports import free_port

PATIENCE_S = 90.0


class Stack:
    """`xyra` on free ports with data under `home`; every command runs there, with an environment of its own."""

    def __init__(self, home: Path, **over: str) -> None:
        self.home = home
        self.ports = {"LOCAL_KAFKA": free_port(2), "HTTP": free_port(), "REDIS": free_port(), "WORKER": free_port(8)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INTEGRATION_")}
        self.environment = clean | {f"INTEGRATION_{name}_PORT": str(port) for name, port in self.ports.items()} | over
        self.data = home / ".xyra"
        self.log = home / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def xyra(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [str(Path(sys.executable).with_name("xyra")), *arguments]
        return subprocess.run(command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    def shell(self, command: str) -> str:
        """Run a line as somebody who copied it would; returns what it printed."""
        done = subprocess.run(["bash", "-c", command], cwd=self.home, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> str:
        """Run `xyra up` in the foreground of nobody and wait until it says that it is ready; returns what it printed."""
        with self.log.open("wb") as out:
            command = [str(Path(sys.executable).with_name("xyra")), "up"]
            process = self.process = subprocess.Popen(command, cwd=self.home, env=self.environment, stdout=out, stderr=out, start_new_session=True)
        self.until(lambda: "Ctrl-C stops it" in self.printed() or process.poll() is not None)
        assert process.poll() is None, self.printed()
        return self.printed()

    def printed(self) -> str:
        """Return what `xyra up` has printed so far."""
        return self.log.read_text(errors="replace")

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def status(self) -> dict[str, Any]:
        """Return what `xyra status --json` tells."""
        found: dict[str, Any] = json.loads(self.xyra("status", "--json").stdout)
        return found

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return the processes that `xyra status` tells of, by name."""
        return {process["name"]: process for process in self.status()["processes"]}

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something becomes true."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, self.printed()
            time.sleep(0.1)

    def close(self) -> None:
        """Stop whatever runs."""
        self.xyra("down")
        if self.process:
            self.process.wait(PATIENCE_S)
