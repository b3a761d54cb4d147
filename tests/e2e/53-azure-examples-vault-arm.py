#!/usr/bin/env python3
"""Azure's published examples of vaults and managed identities in the Resource Manager: each is sent in a group of its
own, after what it needs was made, and must be answered with a status and the keys that it shows. What differs stands
in azure_examples_vault_arm_exceptions.txt with its reason.
"""
# time limit: 120 s
import copy
import importlib.util
import json
import os
import re
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import azure_examples as examples_of_azure  # noqa: E402


def neighbour(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), os.path.join(HERE, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planes = neighbour("54-azure-examples-vault")
# Managed HSMs are resources of another kind, and private endpoints belong to networks: Merlon has neither.
OTHERS = re.compile(r"/managedHSMs|/deletedManagedHSMs|/checkMhsmNameAvailability|/privateEndpointConnections", re.IGNORECASE)
NETWORK, COMPUTE = "providers/Microsoft.Network", "providers/Microsoft.Compute"


class Example:
    """One example with names of its own: those of vaults are one server's, not one group's."""

    def __init__(self, server, number, example):
        self.server, self.version = server, example["api_version"]
        self.operation = example["operationId"]
        text = json.dumps({key: example[key] for key in ("url", "body", "responses")})
        text = text.replace("sample-vault-name", "sample-vault").replace("sample-vault", f"sample-{number}")
        text = re.sub(r'"tenantId": "[^"]*"', f'"tenantId": "{server.first["tenantId"]}"', text)
        made = examples_of_azure.rewrite(json.loads(text), server.first["subscriptionId"], f"e{number}-")
        self.url, self.body, self.responses = made["url"].split("?")[0], made["body"], made["responses"]
        self.vault = f"sample-{number}"
        match = examples_of_azure.GROUP.search(self.url)
        self.group = (f"/subscriptions/{server.first['subscriptionId']}/resourceGroups/"
                      + (match.group(2) if match else f"e{number}-group"))

    def send(self, method, path, body=None, version=None):
        return self.server.plane.send(planes.DOMAIN, method, f"{path}?api-version={version or self.version}",
                                      self.server.arm_token, body)

    def must(self, method, path, body=None, version=None):
        status, answer = self.send(method, path, body, version)
        if status >= 300:
            raise RuntimeError(f"{self.operation} needs {method} {path}: {status} {answer}")
        return answer

    def shown(self):
        return next((answer["body"] for _, answer in sorted(self.responses.items()) if answer.get("body")), {})

    def prepare(self):
        """Makes what the example takes for granted."""
        self.must("PUT", self.group, {"location": "westus"}, "2021-04-01")
        kind = self.operation.partition("_")[0]
        if kind in ("Vaults", "Keys", "Secrets"):
            self.prepare_vault()
        elif kind in ("UserAssignedIdentities", "FederatedIdentityCredentials"):
            self.prepare_identity()
        elif kind == "SystemAssignedIdentities":
            self.prepare_machine()

    def prepare_vault(self):
        if self.operation == "Vaults_CheckNameAvailability":
            return
        vault = f"{self.group}/providers/Microsoft.KeyVault/vaults/{self.vault}"
        shown = self.shown()
        if "value" in shown:
            shown = shown["value"][0]
        like = copy.deepcopy(shown.get("properties", {})) if self.operation in ("Vaults_Get", "Vaults_ListBySubscription") else {}
        for made in ("vaultUri", "provisioningState", "hsmPoolResourceId"):
            like.pop(made, None)
        like.update({"tenantId": self.server.first["tenantId"], "sku": like.get("sku", {"family": "A", "name": "standard"})})
        if "DeletedVaults" in self.url or "deletedVaults" in self.url:
            like["enablePurgeProtection"] = True
        self.must("PUT", vault, {"location": "westus", "tags": {}, "properties": {
            "accessPolicies": [], "enableRbacAuthorization": False, **like}})
        if "deletedVaults" in self.url:
            self.must("DELETE", vault)
        if "/keys" in self.url and self.operation != "Keys_CreateIfNotExist":
            names = re.search(r"/keys/([^/]+)", self.url)
            for name in ([names.group(1)] if names else ["sample-key-name-1", "sample-key-name-2"]):
                self.must("PUT", f"{vault}/keys/{name}", {"properties": {"kty": "RSA"}})
        if "/secrets" in self.url:
            self.must("PUT", f"{vault}/secrets/secret-name", {"properties": {"value": "secret-value"}})

    def prepare_identity(self):
        name = "resourceName" if "resourceName" in self.url else "identityName"
        identity = f"{self.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        self.must("PUT", identity, {"location": "eastus", "tags": {"key1": "value1", "key2": "value2"}})
        if self.operation.startswith("Federated") and not self.operation.endswith("CreateOrUpdate"):
            self.must("PUT", f"{identity}/federatedIdentityCredentials/ficResourceName", {"properties": {
                "issuer": "https://oidc.prod-aks.azure.com/TenantGUID/IssuerGUID",
                "subject": "system:serviceaccount:ns:svcaccount", "audiences": ["api://AzureADTokenExchange"]}})

    def prepare_machine(self):
        """"/scope" is any resource that has an identity."""
        network = f"{self.group}/{NETWORK}/virtualNetworks/net"
        self.must("PUT", network, {"location": "eastus", "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "one", "properties": {"addressPrefix": "10.0.0.0/24"}}]}}, "2023-09-01")
        interface = f"{self.group}/{NETWORK}/networkInterfaces/nic"
        self.must("PUT", interface, {"location": "eastus", "properties": {"ipConfigurations": [{
            "name": "ipconfig1", "properties": {"subnet": {"id": network + "/subnets/one"}}}]}}, "2023-09-01")
        machine = f"{self.group}/{COMPUTE}/virtualMachines/resourceName"
        self.must("PUT", machine, {"location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": {
            "hardwareProfile": {"vmSize": "Standard_D1_v2"},
            "networkProfile": {"networkInterfaces": [{"id": interface}]}}}, "2024-07-01")
        self.url = self.url.replace("/scope", machine, 1)


def main():
    sys.stdout.reconfigure(encoding="utf-8")
    corpus = os.environ["MERLON_CORPUS"]
    if not os.path.isdir(os.path.join(corpus, "azure-examples")):
        print("skipped: the examples are not there: set MERLON_CORPUS")
        return 77
    server = planes.Server(os.environ["MERLON_TMP"])
    exceptions = examples_of_azure.Exceptions(os.path.join(HERE, "azure_examples_vault_arm_exceptions.txt"))
    failures, asked, others, excused = [], 0, 0, 0

    def report(example, what, body=None):
        nonlocal excused
        if exceptions.excuses(example, what):
            excused += 1
        else:
            failures.append(f"{example['operationId']} | {example['example']} | {what}"
                            + (f": {json.dumps(body)[:300]}" if body is not None else ""))

    try:
        for number, example in enumerate(examples_of_azure.load(corpus, ["keyvault-mgmt", "msi"])):
            if OTHERS.search(example["url"]):
                others += 1
                continue
            one = Example(server, number, example)
            one.prepare()
            asked += 1
            status, body = one.send(example["method"], one.url, one.body)
            if str(status) not in one.responses:
                report(example, f"status {status}", body)
                continue
            shown = (one.responses[str(status)] or {}).get("body")
            for path in sorted(examples_of_azure.missing_keys(shown, body)) if shown is not None else []:
                report(example, f"key {path}")
    finally:
        server.process.terminate()
        server.process.wait(timeout=planes.WAIT_SECONDS)
    for failure in failures:
        print("FAILED:", failure)
    for line in exceptions.unused():
        print("FAILED: an exception that excuses nothing:", line)
    print(f"{asked} examples answered ({excused} differences are listed with their reasons), {others} are of Managed HSMs "
          "or of private endpoints")
    return 1 if failures or exceptions.unused() or asked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
