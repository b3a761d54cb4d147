#!/usr/bin/env python3
"""Azure's published examples, for the types that Merlon declares: each request is sent with its ids rewritten, after
what it needs was made, and must be answered with the status and the keys that the example shows. What differs stands
in azure_examples_exceptions.txt with its reason. Then each PUT once more with other names and values, which must come
back: no answer is made for an example.
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
import uuid

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import azure_examples as examples_of_azure  # noqa: E402

GROUPS = ["resources", "authorization-rbac", "network", "compute", "security"]
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
WAIT_SECONDS = 20
# A body for what an example refers to and does not show.
MINIMAL = {
    "microsoft.network/virtualnetworks": {"properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}}},
    "microsoft.network/publicipaddresses": {"sku": {"name": "Standard"},
                                            "properties": {"publicIPAllocationMethod": "Static"}},
    "microsoft.security/locations/jitnetworkaccesspolicies": {"kind": "Basic", "properties": {"virtualMachines": []}},
}


class Server:
    """A server of this test's own, its first credential, and the resources that examples need."""

    def __init__(self, scratch):
        self.state = os.path.join(scratch, "state")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        with open(os.path.join(scratch, "server.log"), "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["MERLON"], "server", "--state", self.state, "--keep-bootstrap",
                 "--listen", f"127.0.0.1:{self.port}"], stdout=log, stderr=log)
        self.wait_until_ready()
        with open(os.path.join(self.state, "bootstrap.json"), encoding="utf-8") as file:
            self.first = json.load(file)
        self.subscription = self.first["subscriptionId"]
        self.token = self.sign_in()
        claims = self.token.split(".")[1]
        self.principal = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["oid"]
        self.made = set()
        self.remotes = 0

    def wait_until_ready(self):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                context = ssl.create_default_context(cafile=os.path.join(self.state, "ca.pem"))
                self.connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=20)
                self.connection.request("GET", "/healthz")
                if self.connection.getresponse().read() and True:
                    return
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def sign_in(self):
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": self.first["clientId"],
            "client_secret": self.first["clientSecret"], "scope": self.first["audience"] + "/.default"})
        self.connection.request("POST", f"/{self.first['tenantId']}/oauth2/v2.0/token", form,
                                {"Content-Type": "application/x-www-form-urlencoded"})
        return json.loads(self.connection.getresponse().read())["access_token"]

    def send(self, method, path, version, body=None, query=None):
        query = {"api-version": version, **(query or {})}
        path = urllib.parse.quote(path, safe="/?&=%:$()',@!+*;~")
        url = path if "api-version=" in path else path + "?" + urllib.parse.urlencode(query)
        headers = {"Authorization": "Bearer " + self.token}
        if body is not None:
            headers["Content-Type"] = "application/json"
        text = json.dumps(body) if body is not None else ("" if method in ("POST", "PUT", "PATCH") else None)
        self.connection.request(method, url, text, headers)
        response = self.connection.getresponse()
        raw = response.read()
        return response.status, response.headers, json.loads(raw) if raw else None

    def finish(self, status, headers, body):
        """Follows a long operation as Azure's clients do, to the answer that it ends with."""
        deadline = time.monotonic() + WAIT_SECONDS
        location = headers.get("Location")
        while status == 202 and location and time.monotonic() < deadline:
            path = re.sub(r"^https://[^/]+", "", location)
            status, headers, body = self.send("GET", path, "2022-09-01")
            if status == 202:
                time.sleep(0.1)
        return status, body

    def make(self, resource_id, version, answer=None):
        """Makes a resource and what it stands on. With an answer, what the answer shows; else the least there is."""
        resource_type, _ = examples_of_azure.type_of(resource_id)
        key = resource_id.lower()
        if key in self.made or resource_type is None:
            return
        self.made.add(key)
        self.make_group(resource_id)
        match = re.match(r"(?i)(.*/virtualNetworks/[^/]+)/subnets/([^/]+)$", resource_id)
        if match:
            self.make_subnet(match.group(1), match.group(2), version)
            return
        bodies = [body for body in (examples_of_azure.to_send(answer, resource_type) if answer else None,
                                    self.minimal(resource_type, resource_id, version)) if body is not None]
        for body in bodies:
            self.make_remote_networks(body, version)
            for each in examples_of_azure.references(body):
                if not each.lower().startswith(key):
                    self.make(each, version)
            status, _, problem = self.send("PUT", resource_id, version, body)
            if status < 300:
                return
            print(f"  not made from its example: {resource_id}: {status} {problem}")

    def minimal(self, resource_type, resource_id, version):
        group, name = resource_id.split("/providers/")[0], resource_id.rpartition("/")[2]
        network = group + "/providers/Microsoft.Network"
        if resource_type == "microsoft.network/networkinterfaces":
            return {"location": "eastus", "properties": {
                "networkSecurityGroup": {"id": network + "/networkSecurityGroups/example"},
                "ipConfigurations": [{"name": "ipconfig1", "properties": {
                    "subnet": {"id": network + "/virtualNetworks/example-network/subnets/example"}}}]}}
        if resource_type == "microsoft.compute/virtualmachines":
            return {"location": "eastus", "properties": {
                "hardwareProfile": {"vmSize": "Standard_D1_v2"},
                "networkProfile": {"networkInterfaces": [{"id": f"{network}/networkInterfaces/{name}-nic"}]}}}
        if resource_type == "microsoft.network/bastionhosts":
            return {"location": "eastus", "sku": {"name": "Standard"}, "properties": {
                "enableTunneling": True, "enableShareableLink": True,
                "ipConfigurations": [{"name": "ipconfig1", "properties": {
                    "subnet": {"id": f"{network}/virtualNetworks/{name}-network/subnets/AzureBastionSubnet"},
                    "publicIPAddress": {"id": f"{network}/publicIPAddresses/{name}-address"}}}]}}
        body = copy.deepcopy(MINIMAL.get(resource_type, {"properties": {}}))
        return {"location": "eastus", **body}

    def assign(self, resource_id, version):
        """A role assignment, of the role Reader to somebody new: the same one twice is refused."""
        self.send("PUT", resource_id, version, {"properties": {
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{READER}",
            "principalId": str(uuid.uuid5(uuid.NAMESPACE_URL, resource_id)), "principalType": "ServicePrincipal"}})

    def make_group(self, resource_id):
        match = examples_of_azure.GROUP.search(resource_id)
        if match and match.group(2).lower() not in self.made:
            self.made.add(match.group(2).lower())
            self.send("PUT", f"/subscriptions/{self.subscription}/resourceGroups/{match.group(2)}", "2022-09-01",
                      {"location": "eastus"})

    def make_subnet(self, network, name, version):
        self.make(network, version)
        for third in range(256):
            status, _, _ = self.send("PUT", f"{network}/subnets/{name}", version,
                                     {"properties": {"addressPrefix": f"10.77.{third}.0/24"}})
            if status < 300:
                return

    def make_remote_networks(self, body, version):
        """Networks that peer need spaces of their own."""
        remote = ((body.get("properties") or {}).get("remoteVirtualNetwork") or {}).get("id")
        if remote is None or remote.lower() in self.made:
            return
        self.made.add(remote.lower())
        self.make_group(remote)
        self.remotes += 1
        self.send("PUT", remote, version, {"location": "eastus", "properties": {
            "addressSpace": {"addressPrefixes": [f"172.{15 + self.remotes}.0.0/16"]}}})

    def declared_types(self):
        _, _, body = self.send("GET", f"/subscriptions/{self.subscription}/providers", "2022-09-01")
        return {f"{provider['namespace']}/{kind['resourceType']}".lower()
                for provider in body["value"] for kind in provider["resourceTypes"]}


class Run:
    def __init__(self, server, exceptions):
        self.server, self.exceptions = server, exceptions
        self.types = server.declared_types()
        self.asked = self.changed = self.excused = self.not_built = 0
        self.failures = []

    def is_built(self, example):
        resource_type, left = examples_of_azure.type_of(example["url"])
        if resource_type is None:
            return True
        if resource_type in self.types:
            return True
        # An action, or a list inside one: its last word is no type.
        return left == 1 and resource_type.rpartition("/")[0] in self.types

    def prepared(self, number, example):
        """The example in our own subscription; placeholders of the authorization examples become real ids."""
        text = json.dumps({key: example[key] for key in ("url", "body", "responses")})
        for placeholder, real in placeholders(self.server, number).items():
            text = text.replace(placeholder, real)
        text = json.loads(text)
        examples_of_azure.complete(example["operationId"], text)
        return {**example, **examples_of_azure.rewrite(text, self.server.subscription, f"e{number}-")}

    def prepare(self, example):
        """Makes what the request needs to find."""
        version = example["api_version"]
        url = example["url"].split("?")[0].rstrip("/")
        resource_type, left = examples_of_azure.type_of(url)
        shown = next((answer["body"] for status, answer in sorted(example["responses"].items())
                      if answer.get("body")), None)
        self.server.make_group(url)
        for each in examples_of_azure.references(example["body"]):
            if not each.lower().startswith(url.lower() + "/") and each.lower() != url.lower():
                self.server.make(each, version)
        extended = re.match(r"(?i)(.*?/providers/.*?)/providers/", url)
        if extended:
            self.server.make(extended.group(1), version)
        if resource_type == "microsoft.authorization/roleassignments" and left == 0 and example["method"] == "GET":
            self.server.assign(url, version)
        if resource_type == "microsoft.resources/tags" and example["method"] == "GET" and shown:
            self.server.send("PUT", url, version, {"properties": shown["properties"]})
        if resource_type is None or extended or "/providers/microsoft.authorization/" in url.lower():
            return
        if example["method"] == "PUT":
            if resource_type.count("/") > 1:
                self.server.make(url.rsplit("/", 2)[0], version)
        elif left == 0:
            self.make_shown(url, version, shown if example["method"] == "GET" else None)
        elif shown and isinstance(shown.get("value"), list) and example["method"] == "GET":
            for element in shown["value"]:
                if isinstance(element, dict) and "/providers/" in str(element.get("id")):
                    self.make_shown(element["id"], version, element)
        else:
            self.server.make(url.rsplit("/", 1)[0], version)

    def make_shown(self, resource_id, version, shown):
        """A child is made in a parent that exists."""
        resource_type, _ = examples_of_azure.type_of(resource_id)
        if resource_type.count("/") > 1 and "/locations/" not in resource_type:
            self.server.make(resource_id.rsplit("/", 2)[0], version)
        self.server.make(resource_id, version, shown)

    def ask(self, example):
        self.prepare(example)
        self.asked += 1
        query = {key: value for key, value in (example["query"] or {}).items() if key != "api-version"}
        answer = self.server.send(example["method"], example["url"], example["api_version"], example["body"], query)
        status, headers, body = answer
        wanted = set(example["responses"])
        if str(status) not in wanted:
            self.report(example, f"status {status}", body)
            return None
        status, body = self.server.finish(status, headers, body)
        shown = (example["responses"].get(str(status)) or {}).get("body")
        if shown is not None:
            for path in sorted(examples_of_azure.missing_keys(shown, body)):
                self.report(example, f"key {path}", None)
        return body

    def change(self, number, example):
        """The same PUT under another name and with other values: they come back."""
        changed = changed_example(number, copy.deepcopy(example))
        self.prepare(changed)
        status, headers, body = self.server.send("PUT", changed["url"], changed["api_version"], changed["body"])
        if status >= 300:
            return
        self.server.finish(status, headers, body)
        self.changed += 1
        _, _, body = self.server.send("GET", changed["url"], changed["api_version"])
        for path in sorted(examples_of_azure.different_values(changed["body"], body)):
            self.report(example, f"value {path}", None)

    def report(self, example, what, body):
        if self.exceptions.excuses(example, what):
            self.excused += 1
        else:
            detail = f": {json.dumps(body)[:300]}" if body is not None else ""
            self.failures.append(f"{example['operationId']} | {example['example']} | {what}{detail}")


def placeholders(server, number):
    """The authorization examples leave most of what they name to the reader."""
    scope = f"/subscriptions/{server.subscription}"
    role = f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    assignment = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
    return {
        "0b5fe924-9a61-425c-96af-cfe6e287ca2d": READER,
        "de139f84-1756-47ae-9be6-808fbbe84772": READER,
        "d93a38bc-d029-4160-bfb0-fbda779ac214": server.principal,
        '"roleDefinitionId": "/subscriptions/subId/providers/Microsoft.Authorization/roleDefinitions/roledefinitionId"':
            f'"roleDefinitionId": "{role}"',
        "b0f43c54-e787-4862-89b1-a653fa9cf747": assignment,
        '"/roleAssignmentId"': f'"{scope}/providers/Microsoft.Authorization/roleAssignments/{assignment}"',
        '"/roleassignmentId"': f'"{scope}/providers/Microsoft.Authorization/roleAssignments/{assignment}"',
        "roleAssignmentName": assignment,
        "/roleDefinitions/roleDefinitionId": f"/roleDefinitions/{assignment}",
        "/providers/resourceProviderNamespace?": "/providers/Microsoft.Authorization?",
        '/providerOperations/resourceProviderNamespace"': '/providerOperations/Microsoft.Authorization"',
        "/subscriptions/subId/": scope + "/",
        "/subscriptions/subID/": scope + "/",
        "/resourceProviderNamespace/parentResourcePath/resourceType/resourceName":
            "/Microsoft.Network/publicIPAddresses/example",
        "/providers/myPRNameSpace/VM/myVm": "/providers/Microsoft.Network/publicIPAddresses/example",
        '"/roleDefinitionId?disambiguation_dummy"': json.dumps(role),
        '"/roleDefinitionId"': json.dumps(role),
        '"/scope/': f'"{scope}/',
    }


def changed_example(number, example):
    word = f"changed{number}"
    head, _, name = example["url"].split("?")[0].rpartition("/")
    if name not in ("default",):
        example["url"] = f"{head}/{name}x"
    body = example["body"]
    if isinstance(body, dict):
        if "tags" in body or ("location" in body and "/Microsoft.Security/" not in head):
            body["tags"] = {**(body.get("tags") or {}), "changed": word}
        change_values(body.get("properties"), word)
    return example


def change_values(value, word):
    if isinstance(value, list):
        for member in value:
            change_values(member, word)
    elif isinstance(value, dict):
        for key, member in value.items():
            if key == "description":
                value[key] = word
            elif key in ("priority", "idleTimeoutInMinutes") and isinstance(member, int):
                value[key] = member + 1
            elif key in ("computerName", "domainNameLabel", "zone1"):
                value[key] = word
            else:
                change_values(member, word)


def main():
    sys.stdout.reconfigure(encoding="utf-8")  # examples name things in more than ASCII
    corpus = os.environ["MERLON_CORPUS"]
    if not os.path.isdir(os.path.join(corpus, "azure-examples")):
        print("skipped: the examples are not there: set MERLON_CORPUS")
        return 77
    server = Server(os.environ["MERLON_TMP"])
    run = Run(server, examples_of_azure.Exceptions(os.path.join(HERE, "azure_examples_exceptions.txt")))
    try:
        for number, example in enumerate(examples_of_azure.load(corpus, GROUPS)):
            if not run.is_built(example):
                run.not_built += 1
                continue
            example = run.prepared(number, example)
            body = run.ask(example)
            if example["method"] == "PUT" and body is not None:
                run.change(number, run.prepared(f"{number}c", example))
    finally:
        server.process.terminate()
        server.process.wait(timeout=WAIT_SECONDS)
    for failure in run.failures:
        print("FAILED:", failure)
    for line in run.exceptions.unused():
        print("FAILED: an exception that excuses nothing:", line)
    print(f"{run.asked} examples answered ({run.excused} differences are listed with their reasons), "
          f"{run.changed} sent again with other values, {run.not_built} are of types that Merlon does not have")
    return 1 if run.failures or run.exceptions.unused() or run.asked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
