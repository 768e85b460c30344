"""Manages enrollments with a published Python service client, and prints one JSON object per operation.

Argument: azure-iot-deviceprovisioning or azure-iothub-provisioningserviceclient. The connection string comes in
DPS_CONNECTION_STRING, the certificate authority to trust in REQUESTS_CA_BUNDLE, a certificate to enroll in the file
DPS_CERT_FILE. The devices dev-01 and, in the group line-7, line-7-a to line-7-c must be registered. The first operation
that differs from what is expected is the last.
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import ssl
import sys

CONNECTION_STRING = os.environ["DPS_CONNECTION_STRING"]
# The TPM2B_PUBLIC of an RSA key that has the attributes of endorsement keys.
ENDORSEMENT_KEY = base64.b64encode(
    bytes.fromhex("011a 0001 000b 000300b2 0000 0006 0080 0043 0010 0800 00000000 0100") + bytes([255] * 256)
).decode()


@contextlib.contextmanager
def operation(name):
    """Prints how an operation ended."""
    try:
        yield
    except Exception as error:
        print(json.dumps({"operation": name, "problem": f"{type(error).__name__}: {error}"}))
        sys.exit()
    print(json.dumps({"operation": name}))


def expect(actual, expected):
    assert actual == expected, f"{actual!r} in place of {expected!r}"


class Current:
    """azure-iot-deviceprovisioning, which is generated from the specification of the service."""

    def __init__(self):
        from azure.core.exceptions import HttpResponseError
        from azure.iot.deviceprovisioning import DeviceProvisioningClient

        self.refusal = HttpResponseError
        self.client = DeviceProvisioningClient.from_connection_string(CONNECTION_STRING)
        self.calls = {"enrollment": self.client.enrollment, "group": self.client.enrollment_group}
        self.bulk_kinds = {"enrollment": "enrollments", "group": "enrollmentGroups"}

    @staticmethod
    def status(error):
        return error.status_code

    def put(self, kind, record):
        id = record[ID_MEMBER[kind]]
        return self.calls[kind].create_or_update(id, record, if_match=record.get("etag"))

    def get(self, kind, id):
        return self.calls[kind].get(id)

    def keys(self, kind, id):
        return self.calls[kind].get_attestation_mechanism(id)

    def bulk(self, kind, mode, records):
        return self.calls[kind].run_bulk_operation({"mode": mode, self.bulk_kinds[kind]: records})

    def pages(self, kind, size):
        return [list(page) for page in self.calls[kind].query({"query": "SELECT *"}, top=size).by_page()]

    def delete(self, kind, id, etag):
        self.calls[kind].delete(id, if_match=etag)

    def registration(self, id):
        return self.client.device_registration_state.get(id)

    def registration_pages(self, group, size):
        return [list(page) for page in self.client.device_registration_state.query(group, top=size).by_page()]

    def delete_registration(self, id, etag):
        self.client.device_registration_state.delete(id, if_match=etag)


class FirstGeneration:
    """azure-iothub-provisioningserviceclient, its predecessor, which is still in use. Models become dictionaries."""

    def __init__(self):
        import provisioningserviceclient
        from provisioningserviceclient import models

        self.models = models
        self.refusal = provisioningserviceclient.ProvisioningServiceError
        self.client = provisioningserviceclient.ProvisioningServiceClient.create_from_connection_string(
            CONNECTION_STRING
        )
        self.model = {"enrollment": models.IndividualEnrollment, "group": models.EnrollmentGroup}
        self.bulk_kinds = {"enrollment": "enrollments"}
        name = {"enrollment": "individual_enrollment", "group": "enrollment_group"}
        self.call = lambda kind, form: getattr(self.client, form.format(name[kind]))

    @staticmethod
    def status(error):
        return error.cause.response.status_code

    @staticmethod
    def shown(model):
        return model.serialize(keep_readonly=True)

    def put(self, kind, record):
        return self.shown(self.client.create_or_update(self.model[kind].deserialize(record)))

    def get(self, kind, id):
        return self.shown(self.call(kind, "get_{}")(id))

    def keys(self, kind, id):
        return self.shown(self.call(kind, "get_{}_attestation_mechanism")(id))

    def bulk(self, kind, mode, records):
        records = [self.model[kind].deserialize(record) for record in records]
        return self.shown(
            self.client.run_bulk_operation(self.models.BulkEnrollmentOperation(mode=mode, enrollments=records))
        )

    def pages(self, kind, size):
        query = self.call(kind, "create_{}_query")(self.models.QuerySpecification(query="*"), size)
        return [[self.shown(item) for item in page] for page in query]

    def delete(self, kind, id, etag):
        self.call(kind, "delete_{}_by_param")(id, etag)

    def registration(self, id):
        return self.shown(self.client.get_registration_state(id))

    def registration_pages(self, group, size):
        # The query of the client itself calls this one with arguments that it does not have.
        query = self.client._runtime_client.query_device_registration_states
        pages, more = [], {}
        while more is not None:
            reply = query(group, {"x-ms-max-item-count": str(size), **more}, raw=True)
            pages.append([self.shown(state) for state in reply.output])
            token = reply.response.headers.get("x-ms-continuation")
            more = {"x-ms-continuation": token} if token else None
        return pages

    def delete_registration(self, id, etag):
        self.client.delete_registration_state_by_param(id, etag)


ID_MEMBER = {"enrollment": "registrationId", "group": "enrollmentGroupId"}
CERTIFICATES = {"enrollment": "clientCertificates", "group": "signingCertificates"}
CLIENTS = {"azure-iot-deviceprovisioning": Current, "azure-iothub-provisioningserviceclient": FirstGeneration}


def refused(client, status, call, *arguments):
    try:
        call(*arguments)
    except client.refusal as error:
        return expect(client.status(error), status)
    raise AssertionError("it was not refused")


def manage(client, kind):
    """Enrollments of a kind, from create to delete."""
    member = ID_MEMBER[kind]
    first, *others = [f"interop-{kind}-{number}" for number in range(6)]
    with operation(f"{kind} create"):
        made = client.put(kind, {member: first, "attestation": {"type": "symmetricKey"}})
        expect((made[member], made["provisioningStatus"]), (first, "enabled"))
    with operation(f"{kind} get"):
        got = client.get(kind, first)
        expect((got[member], got["etag"]), (first, made["etag"]))
        expect(got["attestation"]["type"], "symmetricKey")
    with operation(f"{kind} update by etag"):
        changed = client.put(kind, {**got, "provisioningStatus": "disabled"})
        expect(changed["provisioningStatus"], "disabled")
        assert changed["etag"] != got["etag"], "the etag is still the same"
        expect(client.get(kind, first)["provisioningStatus"], "disabled")
    with operation(f"{kind} update by stale etag"):
        refused(client, 412, client.put, kind, {**got, "provisioningStatus": "enabled"})
        expect(client.get(kind, first)["etag"], changed["etag"])
    with operation(f"{kind} attestation mechanism"):
        expect(client.keys(kind, first)["symmetricKey"], made["attestation"]["symmetricKey"])
    if kind in client.bulk_kinds:
        bulk(client, kind, others)
    else:
        for id in others:
            client.put(kind, {member: id, "attestation": {"type": "symmetricKey"}})
    with operation(f"{kind} query in pages"):
        pages = client.pages(kind, 2)
        ids = [item[member] for page in pages for item in page]
        expect([len(page) for page in pages], page_sizes(len(ids)))
        expect(sorted(set(ids) - {"dev-01", "line-7"}), [first, *others])
    with operation(f"{kind} delete"):
        refused(client, 412, client.delete, kind, first, got["etag"])
        client.delete(kind, first, changed["etag"])
        refused(client, 404, client.get, kind, first)
    if kind in client.bulk_kinds:
        with operation(f"{kind} bulk delete"):
            expect(client.bulk(kind, "delete", [client.get(kind, id) for id in others])["isSuccessful"], True)
            refused(client, 404, client.get, kind, others[0])
    else:
        for id in others:
            client.delete(kind, id, None)


def certified(client, kind):
    """The service keeps the certificate, and returns what identifies it."""
    id = f"interop-{kind}-x509"
    certificate = pathlib.Path(os.environ["DPS_CERT_FILE"]).read_text()
    thumbprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest().upper()
    with operation(f"{kind} X.509 create"):
        x509 = {CERTIFICATES[kind]: {"primary": {"certificate": certificate}}}
        made = client.put(kind, {ID_MEMBER[kind]: id, "attestation": {"type": "x509", "x509": x509}})
        expect(made[ID_MEMBER[kind]], id)
    with operation(f"{kind} X.509 get"):
        attestation = client.get(kind, id)["attestation"]
        expect(attestation["type"], "x509")
        expect(attestation["x509"][CERTIFICATES[kind]]["primary"]["info"]["sha256Thumbprint"], thumbprint)
    with operation(f"{kind} X.509 delete"):
        client.delete(kind, id, None)
        refused(client, 404, client.get, kind, id)


def with_tpm(client):
    """The service keeps the endorsement key."""
    id, attestation = "interop-enrollment-tpm", {"type": "tpm", "tpm": {"endorsementKey": ENDORSEMENT_KEY}}
    with operation("enrollment TPM create"):
        made = client.put("enrollment", {"registrationId": id, "attestation": attestation})
        expect(made["registrationId"], id)
    with operation("enrollment TPM get"):
        got = client.get("enrollment", id)["attestation"]
        expect((got["type"], got["tpm"]["endorsementKey"]), ("tpm", ENDORSEMENT_KEY))
    with operation("enrollment TPM delete"):
        client.delete("enrollment", id, None)
        refused(client, 404, client.get, "enrollment", id)


def page_sizes(count):
    """Two items on each page, the rest on the last."""
    return [2] * (count // 2) + [1] * (count % 2)


def bulk(client, kind, ids):
    """Create and update with one call. What fails is listed, and the others are done."""
    member = ID_MEMBER[kind]
    records = [{member: id, "attestation": {"type": "symmetricKey"}} for id in ids]
    with operation(f"{kind} bulk create"):
        expect(client.bulk(kind, "create", records)["isSuccessful"], True)
        again = client.bulk(kind, "create", records[:1])
        expect((again["isSuccessful"], again["errors"][0][member]), (False, ids[0]))
    with operation(f"{kind} bulk update"):
        changed = [{**client.get(kind, id), "provisioningStatus": "disabled"} for id in ids]
        expect(client.bulk(kind, "updateIfMatchETag", changed)["isSuccessful"], True)
        expect([client.get(kind, id)["provisioningStatus"] for id in ids], ["disabled"] * len(ids))
        stale = client.bulk(kind, "updateIfMatchETag", changed)
        expect((stale["isSuccessful"], [error[member] for error in stale["errors"]]), (False, ids))


def registrations(client):
    """Records of devices that are registered."""
    with operation("registration get"):
        state = client.registration("dev-01")
        expect((state["registrationId"], state["status"]), ("dev-01", "assigned"))
        expect((state["assignedHub"], state["deviceId"]), ("hub-a.test", "dev-01"))
    with operation("registration query in pages"):
        pages = client.registration_pages("line-7", 2)
        ids = [[state["registrationId"] for state in page] for page in pages]
        expect(ids, [["line-7-a", "line-7-b"], ["line-7-c"]])
    with operation("registration delete"):
        refused(client, 412, client.delete_registration, "dev-01", "IjAi")
        client.delete_registration("dev-01", state["etag"])
        refused(client, 404, client.registration, "dev-01")


def main():
    client = CLIENTS[sys.argv[1]]()
    for kind in ID_MEMBER:
        manage(client, kind)
    for kind in ID_MEMBER:
        certified(client, kind)
    with_tpm(client)
    registrations(client)


if __name__ == "__main__":
    main()
