"""Calls the application's callables in the right thread or event loop, and awaits what they return.

The native part waits for the result. The stack below a callable contains only Python frames, so that the interpreter
can end its thread at any time; the threads are started by Python, and do not keep a program from ending.
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
    """Returns its argument: for an awaitable that was created already."""
    return returned


class Calling:
    """One call of a callable, in a copy of its caller's context. `done` receives the value or the exception."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        argument: Any,
        context: Context,
        loop: asyncio.AbstractEventLoop | None,
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        """Calls nothing yet. An awaitable is awaited in `loop`, or in a new loop if that is None."""
        self._function = function
        self._argument = argument
        self._context = context.copy()
        self._loop = loop
        self._done = done
        self._given_up = False
        self._told = False
        self._task: asyncio.Task[None] | None = None

    def in_thread(self) -> None:
        """Calls it in a new thread."""
        # `threading` would wait until the thread has started; Ctrl-C may come in the meantime.
        _thread.start_new_thread(self._context.run, (self._call,))

    def in_loop(self) -> None:
        """Calls it in the loop's thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._call, context=self._context)

    def give_up(self) -> None:
        """Cancels the call: the callable is not called any more, and its awaitable is canceled."""
        self._given_up = True
        if self._task is not None:
            # A closed loop has already canceled the task.
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
            # The context is already entered here, so that the task needs a copy.
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
