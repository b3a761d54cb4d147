#!/usr/bin/env python3
"""Azure's published examples of the key vault's data plane: each in a vault of its own, after what it needs was made,
with its versions and ciphertexts put in, and answered with the status and the keys that the example shows. What differs
stands in azure_examples_vault_exceptions.txt with its reason.
"""
# time limit: 300 s
import base64
import copy
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import azure_examples as examples_of_azure  # noqa: E402

DOMAIN = "merlon.localhost"
ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483"  # Key Vault Administrator
WAIT_SECONDS = 20
# Of Managed HSM, and of storage accounts whose keys a vault once kept: Merlon has neither.
OTHERS = re.compile(r"^/+(storage|deletedstorage|securitydomain|settings|backup|restore|providers)\b|/providers/"
                    r"|^/keys/[^/]+/restore$")
SELF_SIGNED = {"policy": {"issuer": {"name": "Self"}, "x509_props": {"subject": "CN=example"},
                          "secret_props": {"contentType": "application/x-pkcs12"}}}
AUTHORITY = {"policy": {"issuer": {"name": "Self"}, "key_props": {"kty": "EC", "crv": "P-384", "exportable": False},
                        "x509_props": {"subject": "CN=house", "basic_constraints": {"ca": True}}}}


class Plane:
    """A name of the server's, each over a connection of its own that is kept."""

    def __init__(self, port, ca):
        self.port, self.context = port, ssl.create_default_context(cafile=ca)
        self.connections = {}

    def connection(self, host):
        if host not in self.connections:
            made = http.client.HTTPSConnection(host, self.port, context=self.context, timeout=WAIT_SECONDS)
            made.sock = self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.port)), server_hostname=host)
            self.connections[host] = made
        return self.connections[host]

    def send(self, host, method, path, token, body=None):
        headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
        text = json.dumps(body) if body is not None else ("" if method in ("POST", "PUT", "PATCH") else None)
        connection = self.connection(host)
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        raw = response.read()
        return response.status, json.loads(raw) if raw else None


class Server:
    def __init__(self, scratch):
        state = os.path.join(scratch, "state")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        with open(os.path.join(scratch, "server.log"), "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["MERLON"], "server", "--state", state, "--keep-bootstrap",
                 "--listen", f"127.0.0.1:{self.port}"], stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_SECONDS * int(os.environ.get("MERLON_PATIENCE", "1"))
        while not os.path.exists(os.path.join(state, "bootstrap.json")) or not self.answers(state):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)
        with open(os.path.join(state, "bootstrap.json"), encoding="utf-8") as file:
            self.first = json.load(file)
        self.arm_token = self.sign_in(self.first["audience"] + "/.default")
        self.vault_token = self.sign_in("https://vault.azure.net/.default")
        claims = self.arm_token.split(".")[1]
        self.principal = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["oid"]
        group = f"/subscriptions/{self.first['subscriptionId']}/resourceGroups/examples"
        self.arm("PUT", group, "2021-04-01", {"location": "local"})
        self.arm("PUT", f"{group}/providers/Microsoft.Authorization/roleAssignments/{'1' * 8}-1111-4111-8111-{'1' * 12}",
                 "2022-04-01", {"properties": {
                     "roleDefinitionId": f"/subscriptions/{self.first['subscriptionId']}/providers/"
                                         f"Microsoft.Authorization/roleDefinitions/{ADMINISTRATOR}",
                     "principalId": self.principal, "principalType": "ServicePrincipal"}})
        self.group = group

    def answers(self, state):
        try:
            self.plane = Plane(self.port, os.path.join(state, "ca.pem"))
            return self.plane.send(DOMAIN, "GET", "/healthz", "")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def sign_in(self, scope):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": self.first["clientId"],
                                       "client_secret": self.first["clientSecret"], "scope": scope})
        connection = self.plane.connection(DOMAIN)
        connection.request("POST", f"/{self.first['tenantId']}/oauth2/v2.0/token", form,
                           {"Content-Type": "application/x-www-form-urlencoded"})
        return json.loads(connection.getresponse().read())["access_token"]

    def arm(self, method, path, version, body):
        status, answer = self.plane.send(DOMAIN, method, f"{path}?api-version={version}", self.arm_token, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer}")

    def make_vault(self, name):
        self.arm("PUT", f"{self.group}/providers/Microsoft.KeyVault/vaults/{name}", "2023-07-01", {
            "location": "local", "properties": {
                "tenantId": self.first["tenantId"], "sku": {"family": "A", "name": "standard"},
                "enableRbacAuthorization": True}})


class Example:
    """One example in its vault."""

    def __init__(self, server, number, example):
        self.server, self.example = server, copy.deepcopy(example)
        self.host = f"example-{number}.vault.{DOMAIN}"
        server.make_vault(f"example-{number}")
        self.parts = [part for part in example["url"].split("/") if part]
        self.body = self.example["body"]

    def send(self, method, path, body=None):
        version = self.example["api_version"]
        return self.server.plane.send(self.host, method, f"{path}?api-version={version}", self.server.vault_token, body)

    def must(self, method, path, body=None):
        status, answer = self.send(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{self.example['operationId']} needs {method} {path}: {status} {answer}")
        return answer

    def make(self, kind, name):
        """What the example's answer shows, as far as it is a matter of making it. Returns its version."""
        shown = self.shown() or {}
        if kind == "secrets":
            made = self.must("PUT", f"/secrets/{name}", {
                "value": "a value", "contentType": shown.get("contentType", "text/plain"),
                "tags": shown.get("tags", {"purpose": "example"}), "attributes": self.dates(shown)})
            return made["id"].rpartition("/")[2]
        if kind == "keys":
            wants = {"kty": "RSA", "tags": (shown.get("tags") or {"purpose": "example"})}
            if "GCM" in str((self.body or {}).get("alg")) or "KW" in str((self.body or {}).get("alg")):
                wants = {"kty": "oct"}
            return self.must("POST", f"/keys/{name}/create", wants)["key"]["kid"].rpartition("/")[2]
        pending = self.parts[-1] == "pending"
        policy = copy.deepcopy(SELF_SIGNED)
        if pending:
            policy["policy"]["issuer"]["name"] = "Unknown"
        policy["tags"] = shown.get("tags", {"purpose": "example"})
        self.must("POST", f"/certificates/{name}/create", policy)
        if pending:
            return None
        return self.must("GET", f"/certificates/{name}")["id"].rpartition("/")[2]

    @staticmethod
    def dates(shown):
        return {key: value for key, value in shown.get("attributes", {}).items() if key in ("nbf", "exp")}

    def shown(self):
        return next((answer["body"] for _, answer in sorted(self.example["responses"].items()) if answer.get("body")), None)

    def prepare(self):
        """Makes what the example takes for granted."""
        method, operation = self.example["method"], self.example["operationId"]
        kind, rest = self.parts[0], self.parts[1:]
        if kind.startswith("deleted"):
            kind = kind.removeprefix("deleted")
            for name in (rest[:1] or ["first"]):
                self.make(kind, name)
                self.must("DELETE", f"/{kind}/{name}")
            return
        if kind == "certificates" and rest[:1] == ["contacts"]:
            if method != "PUT":
                self.must("PUT", "/certificates/contacts", {"contacts": [{"email": "ada@example.org", "name": "Ada", "phone": "1"}]})
            return
        if kind == "certificates" and rest[:1] == ["issuers"]:
            if method != "PUT":
                self.must("POST", "/certificates/house/create", AUTHORITY)
                self.must("PUT", f"/certificates/issuers/{(rest[1:] or ['one'])[0]}", {
                    "provider": "Merlon", "credentials": {"account_id": "house"},
                    "org_details": {"admin_details": [{"first_name": "A", "last_name": "L", "email": "a@example.org", "phone": "1"}]}})
            return
        if kind not in ("keys", "secrets", "certificates") or method == "PUT" or rest[-1:] == ["create"]:
            return
        if rest == ["restore"]:
            self.make(kind, "kept")
            self.body["value"] = self.must("POST", f"/{kind}/kept/backup")["value"]
            self.must("DELETE", f"/{kind}/kept")
            self.must("DELETE", f"/deleted{kind}/kept")
            return
        version = self.make(kind, rest[0] if rest else "first")
        self.parts = [version if re.fullmatch(r"[0-9a-f]{32}", part) else part for part in self.parts]
        if operation == "GetKeyRotationPolicy":
            self.must("PUT", f"/keys/{rest[0]}/rotationpolicy", {
                "lifetimeActions": self.shown()["lifetimeActions"], "attributes": {"expiryTime": "P2Y"}})
        if operation == "decrypt":
            made = self.must("POST", f"/keys/{rest[0]}/encrypt", {"alg": self.body["alg"], "value": "AAAA"})
            self.body.update({key: made[key] for key in ("value", "iv", "tag") if key in made})

    def path(self):
        return "/" + "/".join(self.parts)


def main():
    sys.stdout.reconfigure(encoding="utf-8")
    corpus = os.environ["MERLON_CORPUS"]
    if not os.path.isdir(os.path.join(corpus, "azure-examples")):
        print("skipped: the examples are not there: set MERLON_CORPUS")
        return 77
    server = Server(os.environ["MERLON_TMP"])
    exceptions = examples_of_azure.Exceptions(os.path.join(HERE, "azure_examples_vault_exceptions.txt"))
    failures, asked, others, excused = [], 0, 0, 0

    def report(example, what, body=None):
        nonlocal excused
        if exceptions.excuses(example, what):
            excused += 1
        else:
            failures.append(f"{example['operationId']} | {example['example']} | {what}"
                            + (f": {json.dumps(body)[:300]}" if body is not None else ""))

    try:
        for number, example in enumerate(examples_of_azure.load(corpus, ["keyvault-data"])):
            if OTHERS.search(example["url"]):
                others += 1
                continue
            one = Example(server, number, example)
            one.prepare()
            asked += 1
            status, body = one.send(example["method"], one.path(), one.body)
            if str(status) not in example["responses"]:
                report(example, f"status {status}", body)
                continue
            shown = (example["responses"][str(status)] or {}).get("body")
            for path in sorted(examples_of_azure.missing_keys(shown, body)) if shown is not None else []:
                report(example, f"key {path}")
    finally:
        server.process.terminate()
        server.process.wait(timeout=WAIT_SECONDS)
    for failure in failures:
        print("FAILED:", failure)
    for line in exceptions.unused():
        print("FAILED: an exception that excuses nothing:", line)
    print(f"{asked} examples answered ({excused} differences are listed with their reasons), {others} are of Managed HSM's "
          "own operations or of storage accounts")
    return 1 if failures or exceptions.unused() or asked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
