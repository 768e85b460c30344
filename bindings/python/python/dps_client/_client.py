"""The blocking and the async client. Their common part, including the options, is native."""

from __future__ import annotations

from dps_client._native import Assignment, Client, RegistrationRecord


class ProvisioningClient(Client):
    """A client of one device, with blocking calls.

    Accepts the options of :class:`dps_client.Client` as keyword arguments. It can be used from several threads and any
    number of times; each call opens its own connection. A call releases the GIL while it waits, and Ctrl-C ends it
    immediately.

    >>> client = ProvisioningClient(
    ...     id_scope="0ne00A1B2C3",
    ...     registration_id="dev-01",
    ...     attestation=SymmetricKey("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="),
    ... )
    >>> client
    ProvisioningClient(registration_id='dev-01')
    """

    def register(self) -> Assignment:
        """Registers the device and waits for its assignment, until the timeout.

        Raises DpsError, which has the problem, whether to retry, and the likely causes.
        """
        return self._register()

    def resume(self, resume_token: str) -> Assignment:
        """Continues a registration that an earlier call started, and waits for its assignment.

        resume_token: the token of a Progress or a DpsError. If the service does not know the operation any more, the
        device is registered again.

        Raises ValueError if it is not a token or is of another device, and DpsError like register.
        """
        return self._resume(resume_token)

    def lookup(self) -> RegistrationRecord:
        """Reads the device's registration record, without registering it; over HTTPS only.

        Raises DpsError; its name is "not-found" if the device never registered.
        """
        return self._lookup()


class AsyncProvisioningClient(Client):
    """A client of one device, for asyncio.

    Accepts the options of :class:`dps_client.Client` as keyword arguments. It can be used from several tasks and loops
    and any number of times; each call opens its own connection. Canceling a task ends its call immediately and closes
    the connection.
    """

    async def register(self) -> Assignment:
        """Registers the device and waits for its assignment, until the timeout.

        Raises DpsError, which has the problem, whether to retry, and the likely causes.
        """
        return await self._register_async()

    async def resume(self, resume_token: str) -> Assignment:
        """Continues a registration that an earlier call started, and waits for its assignment.

        resume_token: the token of a Progress or a DpsError. If the service does not know the operation any more, the
        device is registered again.

        Raises ValueError if it is not a token or is of another device, and DpsError like register.
        """
        return await self._resume_async(resume_token)

    async def lookup(self) -> RegistrationRecord:
        """Reads the device's registration record, without registering it; over HTTPS only.

        Raises DpsError; its name is "not-found" if the device never registered.
        """
        return await self._lookup_async()
