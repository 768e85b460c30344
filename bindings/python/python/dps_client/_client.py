"""The two faces of a client. What they share, options and all, is native."""

from __future__ import annotations

from dps_client._native import Assignment, Client, RegistrationRecord


class ProvisioningClient(Client):
    """A device that can be registered, from code that blocks.

    Takes the options of :class:`dps_client.Client`, as keyword arguments. May be used from several threads, and as
    often as wanted; each call opens a connection of its own. The interpreter is free while a call waits, and Ctrl-C
    ends it at once.

    >>> client = ProvisioningClient(
    ...     id_scope="0ne00A1B2C3",
    ...     registration_id="dev-01",
    ...     attestation=SymmetricKey("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="),
    ... )
    >>> client
    ProvisioningClient(registration_id='dev-01')
    """

    def register(self) -> Assignment:
        """Registers the device and waits for its assignment, by the timeout at the latest.

        Raises DpsError: what failed, whether to try again, and the likely causes.
        """
        return self._register()

    def lookup(self) -> RegistrationRecord:
        """Asks for the device's record without registering it; over HTTPS only.

        Raises DpsError, "not-found" when the device never registered.
        """
        return self._lookup()


class AsyncProvisioningClient(Client):
    """A device that can be registered, from asyncio.

    Takes the options of :class:`dps_client.Client`, as keyword arguments. May be used from several tasks and loops, and
    as often as wanted; each call opens a connection of its own. Cancelling a task ends its call at once and closes the
    connection.
    """

    async def register(self) -> Assignment:
        """Registers the device and waits for its assignment, by the timeout at the latest.

        Raises DpsError: what failed, whether to try again, and the likely causes.
        """
        return await self._register_async()

    async def lookup(self) -> RegistrationRecord:
        """Asks for the device's record without registering it; over HTTPS only.

        Raises DpsError, "not-found" when the device never registered.
        """
        return await self._lookup_async()
