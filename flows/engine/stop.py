"""How a worker is asked to drain."""


class Stop:
    """Asks a worker to drain; may be used from a signal handler and from any thread."""

    asked = False

    def ask(self, *_: object) -> None:
        """Ask."""
        self.asked = True


class Stopped(Exception):
    """Leaves a restore that may take long: what it has read is kept, and read no further."""
