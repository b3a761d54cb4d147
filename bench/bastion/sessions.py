"""Many recorded terminals at once, with somebody typing in each: how long until a character is seen, and what a session
costs in memory beside the two processes of an OpenSSH jump host.

usage: sessions.py WAYS.json SESSIONS NAMESPACE [SOURCE...]
NAMESPACE is that of the bastion and the jump host. SOURCE: the addresses that people come from, since no one address may
have more than a hundred connections.
prints JSON: sessions, p50 and p99 in milliseconds, memory and memoryOfJump in MiB for each, the server's processor time
in per cent of one, at rest and while they type, markers
"""
import asyncio
import json
import os
import random
import re
import shlex
import subprocess
import sys
import time

AT_ONCE = 8  # that connect at a time
TYPED = 12
PAUSE_S = (2.0, 4.0)  # between two characters of one person
SAMPLE = 20
REST_S = 10


def pids_of(namespace):
    return [int(pid) for pid in subprocess.run(['ip', 'netns', 'pids', namespace], check=True, capture_output=True,
                                               text=True).stdout.split()]


def proportional_mib(pids):
    """PSS: each page that is shared counts for its share."""
    total = 0
    for pid in pids:
        try:
            with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
                total += int(re.search(r'^Pss:\s+(\d+)', file.read(), re.M).group(1))
        except (FileNotFoundError, ProcessLookupError, AttributeError):
            pass
    return total / 1024


def named(namespace, pattern):
    found = []
    for pid in pids_of(namespace):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if re.search(pattern, file.read().replace(b'\0', b' ').decode(errors='replace')):
                    found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


class Session:
    def __init__(self, number):
        self.marker = f'm{number}q{random.randrange(10**9)}'
        self.process = None

    async def open(self, way, source):
        argv = shlex.split(way)
        argv[1:1] = ['-tt', '-b', source] if source else ['-tt']
        self.process = await asyncio.create_subprocess_exec(
            *argv, 'stty -icanon -echo; printf ">"; exec cat', stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        got = await self.process.stdout.read(1)
        if got != b'>':
            raise SystemExit('a session did not start: ' + (await self.process.stderr.read()).decode())

    async def type(self, seconds):
        await asyncio.sleep(random.uniform(0, PAUSE_S[1]))
        for _ in range(TYPED):
            begun = time.monotonic()
            self.process.stdin.write(b'x')
            await self.process.stdin.drain()
            await self.process.stdout.readexactly(1)
            seconds.append(time.monotonic() - begun)
            await asyncio.sleep(random.uniform(*PAUSE_S))
        line = f'\n{self.marker}\n'.encode()
        self.process.stdin.write(line)
        await self.process.stdin.drain()
        await self.process.stdout.readuntil(self.marker.encode())

    async def close(self):
        self.process.stdin.write(b'\x03')
        self.process.stdin.close()
        await self.process.wait()


def processor_s(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        fields = file.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


async def many(way, count, sources=('',)):
    sessions = [Session(number) for number in range(count)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def enter(number, session):
        async with gate:
            await session.open(way, sources[number % len(sources)])

    await asyncio.gather(*(enter(number, session) for number, session in enumerate(sessions)))
    return sessions


async def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        ways = json.load(file)
    count, namespace = int(sys.argv[2]), sys.argv[3]
    few = min(SAMPLE, count)
    idle = proportional_mib(named(namespace, r'^sshd: '))
    jumps = await many(ways['ssh -J'], few)
    jump_mib = (proportional_mib(named(namespace, r'^sshd: ')) - idle) / few
    for session in jumps:
        await session.close()

    server = named(namespace, r'merlon server ')
    before = proportional_mib(server)
    print(f'opening {count} sessions', file=sys.stderr)
    begun = time.monotonic()
    sessions = await many(ways['plain SSH, recorded'], count, sys.argv[4:] or [''])
    print(f'open after {time.monotonic() - begun:.0f} s; typing', file=sys.stderr)
    # Not by their namespace: each has one of its own.
    children = [int(pid) for pid in subprocess.run(['pgrep', '-P', str(server[0])], check=True, capture_output=True,
                                                   text=True).stdout.split()]
    seconds = []
    used, begun = processor_s(server[0]), time.monotonic()
    await asyncio.sleep(REST_S)
    at_rest = (processor_s(server[0]) - used) / (time.monotonic() - begun)
    used, begun = processor_s(server[0]), time.monotonic()
    await asyncio.gather(*(session.type(seconds) for session in sessions))
    typing = (processor_s(server[0]) - used) / (time.monotonic() - begun)
    mib = (proportional_mib(children) + proportional_mib(server) - before) / count
    for session in sessions:
        await session.close()
    seconds.sort()
    print(json.dumps({
        'sessions': count, 'p50': round(seconds[len(seconds) // 2] * 1e3, 1),
        'p99': round(seconds[len(seconds) * 99 // 100] * 1e3, 1), 'memory': round(mib, 2),
        'memoryOfJump': round(jump_mib, 2), 'atRest': round(at_rest * 100, 1), 'typing': round(typing * 100, 1),
        'markers': [session.marker for session in random.sample(sessions, min(few, count))]}))


asyncio.run(main())
