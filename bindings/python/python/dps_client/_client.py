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

    def resume(self, resume_token: str) -> Assignment:
        """Continues a registration that an earlier call began and waits for its assignment.

        resume_token: of a Progress or a DpsError. The device is registered afresh if the service has forgotten the
        operation.

        Raises ValueError when it is not a token or belongs to another device, and DpsError as register does.
        """
        return self._resume(resume_token)

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

    async def resume(self, resume_token: str) -> Assignment:
        """Continues a registration that an earlier call began and waits for its assignment.

        resume_token: of a Progress or a DpsError. The device is registered afresh if the service has forgotten the
        operation.

        Raises ValueError when it is not a token or belongs to another device, and DpsError as register does.
        """
        return await self._resume_async(resume_token)

    async def lookup(self) -> RegistrationRecord:
        """Asks for the device's record without registering it; over HTTPS only.

        Raises DpsError, "not-found" when the device never registered.
        """
        return await self._lookup_async()
