#!/usr/bin/env python3
"""kill -9 of a server under writing clients, again and again, on both stores: every acknowledged write is there, and
the ledger has it and verifies. 15 kills of each by default (MERLON_KILLS says otherwise); with MERLON_LONG=1 it is
10,000 of each, shared by several servers at once, for half an hour each at most (MERLON_KILL_SECONDS says otherwise).

time limit: 4200 s
"""
import http.client
import json
import multiprocessing
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

MERLON = os.environ["MERLON"]
SCRATCH = os.environ["MERLON_TMP"]
LONG = bool(os.environ.get("MERLON_LONG"))
KILLS = int(os.environ.get("MERLON_KILLS", 10_000 if LONG else 15))
SECONDS = int(os.environ.get("MERLON_KILL_SECONDS") or (1800 if LONG else 120 * int(os.environ.get("MERLON_PATIENCE", 1))))
# A server that starts or is checked waits more than it computes; each has a state of its own.
SERVERS = 2 * (os.cpu_count() or 1) if LONG else 1
POSTGRES = "/usr/lib/postgresql/15/bin/"
WRITERS = 6


def fail(text):
    print("FAILED:", text)
    for name in sorted(os.listdir(SCRATCH)):
        if name.endswith(".log"):
            with open(f"{SCRATCH}/{name}", errors="replace") as file:
                print(f"---- the end of {name}\n" + "".join(file.readlines()[-15:]))
    sys.exit(1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, name, store):
        self.name, self.store, self.port = name, store, free_port()
        self.state = f"{SCRATCH}/{name}"
        self.process = None

    def start(self):
        log = open(f"{SCRATCH}/{self.name}.log", "a")
        self.process = subprocess.Popen(
            [MERLON, "server", "--state", self.state, "--store", self.store, "--keep-bootstrap", "--listen",
             f"127.0.0.1:{self.port}"], stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                fail(f"{self.name}: the server ended with {self.process.returncode} at its start")
            try:
                if self.request(None, "GET", "/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        fail(f"{self.name}: the server does not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def connect(self):
        context = ssl.create_default_context(cafile=f"{self.state}/ca.pem")
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=15)

    def request(self, connection, method, path, body=None, headers=None):
        own = connection is None
        try:
            connection = connection or self.connect()
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            if own and connection is not None:
                connection.close()

    def sign_in(self):
        with open(f"{self.state}/bootstrap.json") as file:
            first = json.load(file)
        self.subscription = first["subscriptionId"]
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": first["clientId"],
                                       "client_secret": first["clientSecret"],
                                       "scope": "https://management.azure.com/.default"})
        status, body = self.request(None, "POST", f"/{first['tenantId']}/oauth2/v2.0/token", form,
                                    {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 200:
            fail(f"{self.name}: sign-in answered {status}: {body[:300]}")
        self.headers = {"Authorization": "Bearer " + json.loads(body)["access_token"],
                        "Content-Type": "application/json"}
        return first

    def group(self, writer):
        return f"/subscriptions/{self.subscription}/resourceGroups/w{writer}?api-version=2021-04-01"


class Writer(threading.Thread):
    """Counts up in a tag of a resource group of its own, until the server is gone."""

    def __init__(self, server, number, counts):
        super().__init__(daemon=True)
        self.server, self.number, self.counts = server, number, counts
        self.problem = None

    def run(self):
        connection = None
        try:
            connection = self.server.connect()
            while True:
                value = self.counts["attempted"][self.number] = self.counts["attempted"][self.number] + 1
                status, body = self.server.request(
                    connection, "PUT", self.server.group(self.number),
                    json.dumps({"location": "local", "tags": {"n": str(value)}}), self.server.headers)
                if status not in (200, 201):
                    self.problem = f"{status}: {body[:300]}"
                    return
                self.counts["acknowledged"][self.number] = value
                self.counts["writes"][self.number] += 1
        except OSError:
            pass
        finally:
            if connection is not None:
                connection.close()


def check(server, counts, kill):
    for writer in range(WRITERS):
        wanted = counts["acknowledged"][writer]
        status, body = server.request(None, "GET", server.group(writer), None, server.headers)
        if status == 404 and wanted == 0:
            continue
        found = int(json.loads(body)["tags"]["n"]) if status == 200 else None
        if found is None or found < wanted or found > counts["attempted"][writer]:
            fail(f"{server.name}, kill {kill}: write {wanted} of writer {writer} was acknowledged, found is {found}")


def check_ledger(server, first, counts):
    env = dict(os.environ, MERLON_ENDPOINT=f"https://localhost:{server.port}", MERLON_CA=f"{server.state}/ca.pem",
               MERLON_TENANT=first["tenantId"], MERLON_CLIENT_ID=first["clientId"],
               MERLON_CLIENT_SECRET=first["clientSecret"])
    path = f"{SCRATCH}/{server.name}.jsonl"
    with open(path, "w") as file:
        if subprocess.run([MERLON, "ledger", "export"], stdout=file, env=env, check=False).returncode != 0:
            fail(f"{server.name}: the ledger cannot be exported")
    verified = subprocess.run([MERLON, "ledger", "verify", path], capture_output=True, text=True, check=False)
    if verified.returncode != 0:
        fail(f"{server.name}: the ledger does not verify: {verified.stdout} {verified.stderr}")
    entered = [0] * WRITERS
    with open(path) as file:
        for line in file:
            entry = json.loads(line).get("entry", {})
            entry = json.loads(entry) if isinstance(entry, str) else entry
            resource = entry.get("resource", "").lower()
            if entry.get("action", "").lower().endswith("resourcegroups/write") and "/resourcegroups/w" in resource:
                entered[int(resource.rsplit("/resourcegroups/w", 1)[1])] += 1
    for writer in range(WRITERS):
        if not counts["writes"][writer] <= entered[writer] <= counts["attempted"][writer]:
            fail(f"{server.name}: writer {writer} had {counts['writes'][writer]} writes acknowledged, of "
                 f"{counts['attempted'][writer]}; the ledger has {entered[writer]}")
    return sum(entered)


def kill_loop(name, store, most):
    server = Server(name, store)
    server.start()
    first = server.sign_in()
    counts = {key: [0] * WRITERS for key in ("attempted", "acknowledged", "writes")}
    begun = signed_in = time.monotonic()
    kills = 0
    while kills < most and time.monotonic() - begun < SECONDS:
        if time.monotonic() - signed_in > 600:
            server.sign_in()
            signed_in = time.monotonic()
        before = sum(counts["writes"])
        writers = [Writer(server, number, counts) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        patience = time.monotonic() + 30
        while sum(counts["writes"]) == before and time.monotonic() < patience:
            time.sleep(0.001)
        time.sleep(random.random() * 0.15)  # another moment each time
        server.kill()
        kills += 1
        for writer in writers:
            writer.join(30)
            if writer.problem:
                fail(f"{name}: a write was answered with {writer.problem}")
        if sum(counts["writes"]) == before:
            fail(f"{name}: kill {kills} proved nothing: no write was acknowledged")
        server.start()
        check(server, counts, kills)
    entered = check_ledger(server, first, counts)
    server.process.send_signal(signal.SIGTERM)
    if server.process.wait(30) != 0:
        fail(f"{name}: the server does not end cleanly after {kills} kills")
    if kills < min(most, 10):
        fail(f"{name}: only {kills} kills in {SECONDS} s")
    print(f"ok: {name}: {kills} kills, {sum(counts['writes'])} acknowledged writes, all there; the ledger has "
          f"{entered} and verifies", flush=True)
    with TOTAL[store.partition(":")[0]].get_lock():
        TOTAL[store.partition(":")[0]].value += kills


TOTAL = {kind: multiprocessing.Value("i", 0) for kind in ("sqlite", "postgres")}


def kill_loops(kind, stores):
    """One server on each store, all at once."""
    begun = time.monotonic()
    shares = [KILLS // len(stores) + (1 if i < KILLS % len(stores) else 0) for i in range(len(stores))]
    loops = [multiprocessing.Process(target=kill_loop, args=(f"{kind}{i}", store, most))
             for i, (store, most) in enumerate(zip(stores, shares))]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    if any(loop.exitcode != 0 for loop in loops):
        sys.exit(1)
    seconds = time.monotonic() - begun
    kills = TOTAL[kind].value
    print(f"ok: {kind}: {kills} kills of {KILLS} in {seconds:.0f} s", flush=True)


def as_postgres(*command, **options):
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] if os.geteuid() == 0 else []
    return subprocess.run([*user, *command], cwd="/", check=True, **options)


def main():
    kill_loops("sqlite", ["sqlite"] * SERVERS)
    directory = f"{SCRATCH}/postgres"
    os.chmod(SCRATCH, 0o711)  # whoever runs PostgreSQL must get through
    os.mkdir(directory)
    if os.geteuid() == 0:
        subprocess.run(["chown", "postgres", directory], check=True)
    with open(f"{SCRATCH}/postgres.log", "w") as log:
        as_postgres(POSTGRES + "initdb", "-D", f"{directory}/data", "-A", "trust", "-U", "merlon", "--no-sync", "-E",
                    "UTF8", "--locale=C", "--no-instructions", stdout=log, stderr=log)
        as_postgres(POSTGRES + "pg_ctl", "-D", f"{directory}/data", "-w", "-l", f"{directory}/server.log", "-o",
                    f"-c listen_addresses= -c unix_socket_directories={directory}", "start", stdout=log, stderr=log)
    try:
        names = [f"merlon{i}" for i in range(SERVERS)]
        for name in names:
            as_postgres(POSTGRES + "createdb", "-h", directory, "-U", "merlon", name)
        kill_loops("postgres", [f"postgres://merlon@/{name}?host={directory}" for name in names])
    finally:
        as_postgres(POSTGRES + "pg_ctl", "-D", f"{directory}/data", "-m", "immediate", "stop",
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


main()
