"""Azure's published request and response examples, made ready to be sent to a server of our own: ids are rewritten to
its subscription and to resource groups that each example has for itself, and what an example needs to exist is made
from the example's own answer.
"""
import json
import os
import re
import subprocess

SUBSCRIPTION = re.compile(r"/subscriptions/[^/?\"]+", re.IGNORECASE)
GROUP = re.compile(r"(/resourcegroups/)([^/?\"]+)", re.IGNORECASE)

# Members that a server writes: they are in answers, and are not sent back to make what the answer shows.
SERVER_MADE = {
    "id", "type", "etag", "provisioningState", "resourceGuid", "defaultSecurityRules", "systemData", "vmId",
    "timeCreated", "instanceView", "macAddress", "ipConfiguration", "virtualMachine", "flowLogs", "requests",
    "vnetEncryptionSupported", "appliedDnsServers", "internalDomainNameSuffix", "hostedWorkloads", "purpose",
    "privateEndpoints", "serviceAssociationLinks", "resourceNavigationLinks", "changeNumber",
}
# What Azure takes and never shows again.
NEVER_SHOWN = {"adminPassword", "customData", "userData"}
# Back references, which only some types show as read-only.
BACK_REFERENCES = {
    "microsoft.network/networksecuritygroups": {"networkInterfaces", "subnets"},
    "microsoft.network/virtualnetworks": {"ipConfigurations"},
    "microsoft.network/applicationsecuritygroups": set(),
}


def complete(operation, example):
    """What the examples of bastion hosts leave out, though no Azure takes them without: a request has the location and
    the SKU that its answer shows, and the subnet the one name that a bastion's may have. Some names end with a quote."""
    if not operation.startswith("BastionHosts_"):
        return
    text = json.dumps(example).replace("/BastionHostSubnet\"", "/AzureBastionSubnet\"")
    example.update(json.loads(re.sub(r"(bastionhost\w*)'", r"\1", text)))
    if operation == "BastionHosts_CreateOrUpdate":
        shown = example["responses"]["200"]["body"]
        example["body"] = {"location": shown["location"].replace(" ", "").lower(), "sku": shown["sku"], **example["body"]}


def load(corpus, groups):
    """Each example of these files, once by what it says, in the order of the files."""
    seen, examples = set(), []
    for group in groups:
        path = os.path.join(corpus, "azure-examples", group + ".jsonl.zst")
        text = subprocess.run(["zstd", "-dcq", path], capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            example = json.loads(line)
            key = (example["operationId"], example["method"], json.dumps(example["body"], sort_keys=True),
                   example["url"])
            if key not in seen:
                seen.add(key)
                examples.append(example)
    return examples


def type_of(resource_id):
    """The lower-case type that the last "/providers/" of an id names, and how many segments are left over: 0 for a
    resource, 1 for a list of them or an action."""
    tail = re.split(r"/providers/", resource_id.split("?")[0].strip("/"), flags=re.IGNORECASE)
    if len(tail) < 2 and "/providers/" not in "/" + resource_id.lower():
        return None, 0
    parts = tail[-1].split("/")
    if parts[0].lower() == "providers":
        parts = parts[1:]
    provider, names = parts[0], parts[1:]
    types = [name.lower() for name in names[0::2]]
    return "/".join([provider.lower(), *types]), len(names) % 2


def rewrite(value, subscription, prefix):
    """The same value, in our subscription and in groups of this example's own."""
    if isinstance(value, dict):
        return {key: rewrite(member, subscription, prefix) for key, member in value.items()}
    if isinstance(value, list):
        return [rewrite(member, subscription, prefix) for member in value]
    if isinstance(value, str) and "/" in value:
        value = value.replace("{", "").replace("}", "")  # names that a person was to fill in
        value = SUBSCRIPTION.sub("/subscriptions/" + subscription, value)
        return GROUP.sub(lambda match: match.group(1) + prefix + match.group(2), value)
    return value


def references(value):
    """Every resource id in a body, in the order in which it names them."""
    if isinstance(value, dict):
        for member in value.values():
            if not isinstance(member, str):
                yield from references(member)
            elif member.lower().startswith("/subscriptions/") and "/providers/" in member.lower():
                yield member
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def to_send(answer, resource_type=None):
    """What one would PUT to make what an answer shows."""
    dropped = SERVER_MADE | BACK_REFERENCES.get(resource_type or "", set())

    def clean(value, inside):
        if isinstance(value, list):
            return [clean(member, inside) for member in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"id"}:  # a reference to another resource
            return value
        kept = {}
        for key, member in value.items():
            if key in dropped and not (key == "ipConfigurations" and inside) and not (key == "id" and "ports" in value):
                continue
            if key == "name" and inside == "top":
                continue
            kept[key] = clean(member, "" if inside == "top" else inside or "deep")
        if "ipConfigurations" not in value and value.get("privateIPAllocationMethod") == "Dynamic":
            kept.pop("privateIPAddress", None)
        return kept

    return clean(answer, "top")


def missing_keys(wanted, got, path=""):
    """The paths that the example's answer has and ours has not. Elements of lists are matched by name where they have
    one; else each wanted key must be in some element."""
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            return {path or "."}
        found = set()
        for key, member in wanted.items():
            if key == "nextLink":  # there is a next page, or there is none
                continue
            here = f"{path}.{key}" if path else key
            match = next((name for name in got if name.lower() == key.lower()), None) if "/" in key else key
            if match is None or match not in got:
                found.add(here)
            else:
                found |= missing_keys(member, got[match], here)
        return found
    if isinstance(wanted, list):
        if not isinstance(got, list):
            return {path}
        found = set()
        for element in wanted:
            found |= missing_in_list(element, got, path + "[]")
        return found
    return set()


def missing_in_list(element, got, path):
    if not isinstance(element, (dict, list)):
        return set()
    if not got:
        return {path}
    if isinstance(element, dict) and "name" in element:
        named = [each for each in got if isinstance(each, dict) and each.get("name") == element["name"]]
        if named:
            return missing_keys(element, named[0], path)
    return min((missing_keys(element, each, path) for each in got), key=len)


def different_values(wanted, got, path=""):
    """The scalar members of what was sent that came back otherwise, or not at all."""
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            return {path or "."}
        return {each for key, member in wanted.items() if key not in NEVER_SHOWN
                for each in different_values(member, got.get(key), f"{path}.{key}" if path else key)}
    if isinstance(wanted, list):
        if not isinstance(got, list) or len(got) < len(wanted):
            return {path}
        return {each for sent, back in zip(wanted, got) for each in different_values(sent, back, path + "[]")}
    if isinstance(wanted, str) and isinstance(got, str) and wanted.lower() == got.lower():
        return set()
    return set() if wanted == got else {path}


class Exceptions:
    """The list of what is known to differ, each with its reason. A line that excuses nothing is a fault too: it would
    hide the next one."""

    def __init__(self, path):
        self.lines = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                parts = [part.strip() for part in line.split("|", 3)]
                if len(parts) != 4 or not parts[3]:
                    raise ValueError(f"{path}:{number}: wanted OPERATION | EXAMPLE | WHAT | REASON")
                self.lines.append({"number": number, "parts": parts, "used": 0})

    def excuses(self, example, what):
        for line in self.lines:
            operation, name, pattern, _ = line["parts"]
            if all(re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), given)
                   for wanted, given in ((operation, example["operationId"]), (name, example["example"]),
                                         (pattern, what))):
                line["used"] += 1
                return True
        return False

    def unused(self):
        return [f"line {line['number']}: {' | '.join(line['parts'][:3])}" for line in self.lines if not line["used"]]
