"""Calls callables of the caller's, where they belong, and awaits what they return.

The native half waits for the outcome. On the stack below a callable is nothing but Python, so that the interpreter can
end its thread at any time; the threads are Python's own, and do not keep a program from ending.
"""

from __future__ import annotations

import _thread
import contextlib
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def itself(returned: Any) -> Any:
    """For what was called already, and is to be awaited."""
    return returned


class Calling:
    """One call of a callable, in a context of its caller's. Its outcome goes to `done`: a value, or what was raised."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        argument: Any,
        context: Context,
        loop: asyncio.AbstractEventLoop | None,
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        """Calls nothing yet. `loop` is where an awaitable is awaited; in a loop of its own without one."""
        self._function = function
        self._argument = argument
        self._context = context.copy()
        self._loop = loop
        self._done = done
        self._given_up = False
        self._told = False
        self._task: asyncio.Task[None] | None = None

    def in_thread(self) -> None:
        """Calls it in a thread of its own."""
        # Without waiting for the thread to begin, as `threading` does: Ctrl-C may come meanwhile.
        _thread.start_new_thread(self._context.run, (self._call,))

    def in_loop(self) -> None:
        """Calls it in the loop's thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._call, context=self._context)

    def give_up(self) -> None:
        """Nobody waits any more: it is not called, and what is awaited is cancelled."""
        self._given_up = True
        if self._task is not None:
            # A loop that is closed has taken the task along.
            with contextlib.suppress(RuntimeError):
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _call(self) -> None:
        if self._given_up:
            return
        try:
            returned = self._function(self._argument)
            if hasattr(returned, "__await__"):
                self._await(returned)
            else:
                self._tell(returned, None)
        except BaseException as raised:
            self._tell(None, raised)

    def _await(self, returned: Any) -> None:
        import asyncio

        if self._loop is None:
            asyncio.run(self._wait(returned))
        else:
            # This context is entered here: one in which it is awaited is another.
            self._loop.call_soon_threadsafe(self._begin, returned, context=self._context.copy())

    def _begin(self, returned: Any) -> None:
        assert self._loop is not None
        self._task = self._loop.create_task(self._wait(returned))

    async def _wait(self, returned: Any) -> None:
        import asyncio

        self._task = asyncio.current_task()
        try:
            if self._given_up:
                returned.close()
            else:
                self._tell(await returned, None)
        except BaseException as raised:
            self._tell(None, raised)

    def _tell(self, returned: Any, raised: BaseException | None) -> None:
        if not self._told:
            self._told = True
            self._done(returned, raised)
