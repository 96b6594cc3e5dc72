"""Start or greet several services at once, and leave no half start behind when the user interrupts."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from seamless_remote.client import Client

__all__ = ("OtherStarts", "start_services")


def start_services(clients: Sequence[Client]) -> list[BaseException | None]:
    """Launch and greet all of them at once; return for each what went wrong, None if nothing did.

    An interrupt ends every launch that is under way: what was only starting is stopped. Raises KeyboardInterrupt.
    """
    starts = [_Start(client, number) for number, client in enumerate(clients)]
    try:
        for start in starts:
            start.thread.start()
        for start in starts:
            start.ended.wait()  # an interrupt of Thread.join would take a thread that runs for one that has ended
    except BaseException:
        _interrupt(starts)
        raise
    for start in starts:
        start.thread.join()
    return [start.failure for start in starts]


class OtherStarts:
    """Starts of the other services in use, beside one that is being started; nobody waits for them."""

    def __init__(self) -> None:
        self._starts: list[_Start] = []

    def start(self) -> None:
        """Begin them, unless they run or are being started. What goes wrong is told to whoever uses the service."""
        from seamless_remote.launched import is_launched

        from .service_activation import active_services

        for number, client in enumerate(active_services()):
            prepared = getattr(client, "prepared", None)
            if prepared is not None and not is_launched(prepared):
                start = _Start(client, number)
                self._starts.append(start)
                start.thread.start()

    def interrupt(self) -> None:
        """End those that are under way, and wait until they have ended."""
        _interrupt(self._starts)


def _interrupt(starts: Sequence[_Start]) -> None:
    """End the starts that are under way, and wait until they have ended."""
    from remote_http_launcher.executors import forget_interrupt, interrupt_thread

    began = [(start, start.thread.ident) for start in starts if start.thread.ident is not None]
    for start, ident in began:
        if not start.ended.is_set():
            interrupt_thread(ident)
    for start, ident in began:
        start.ended.wait()
        forget_interrupt(ident)


class _Start:
    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.failure: BaseException | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"start-{client.service}-{number}")

    def _run(self) -> None:
        try:
            self.client.ensure_initialized_sync()
        except BaseException as exc:  # it is for the caller's thread
            self.failure = exc
        finally:
            self.ended.set()
