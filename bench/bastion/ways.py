"""The ways to a machine, in turns: bytes a second in either direction, and how long one byte takes there and back.

usage: ways.py WAYS.json ROUNDS MEGABYTES     prints a Markdown table of medians, and ratios to the first way
"""
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

CHUNK = 1 << 16
LINE = 'Nov 26 21:37:31 web-1 sshd[4711]: Accepted publickey for admin from 192.0.2.10 port 60610 ssh2: ED25519'
ECHOES = 300


def start(way, command, terminal=False):
    argv = shlex.split(way)
    argv[1:1] = ['-tt'] if terminal else []
    return subprocess.Popen(argv + [command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def whole(process):
    process.stdin.close()
    rest = process.stdout.read()
    if process.wait() != 0:
        raise SystemExit(f'{process.args}: exit status {process.returncode}')
    return rest


def wait_for_start(process):
    if process.stdout.read(1) != b'>':
        raise SystemExit(f'{process.args}: did not start')


def down(way, size, terminal=False):
    # Lines of text; a terminal makes each line's end two bytes.
    process = start(way, f'stty -onlcr 2>/dev/null; yes "{LINE}" | head -c {size} >text; printf ">"; read go; cat text', terminal)
    wait_for_start(process)
    begun = time.monotonic()
    process.stdin.write(b'\n')
    process.stdin.flush()
    got = 0
    while got < size:
        more = os.read(process.stdout.fileno(), CHUNK)
        if not more:
            raise SystemExit(f'{way}: ended after {got} of {size} bytes')
        got += len(more)
    took = time.monotonic() - begun
    whole(process)
    return size / took / 1e6


def up(way, size):
    process = start(way, f'printf ">"; head -c {size} | wc -c')
    wait_for_start(process)
    block = (LINE + '\n').encode() * (CHUNK // len(LINE))
    block = block[:CHUNK] + bytes(CHUNK - len(block[:CHUNK]))
    begun = time.monotonic()
    for _ in range(size // CHUNK):
        process.stdin.write(block)
    process.stdin.flush()
    said = process.stdout.readline()
    took = time.monotonic() - begun
    if int(said) != size:
        raise SystemExit(f'{way}: {said} of {size} bytes arrived')
    whole(process)
    return size / took / 1e6


def echo(way):
    process = start(way, 'printf ">"; exec cat')
    wait_for_start(process)
    times = []
    for _ in range(ECHOES):
        begun = time.monotonic()
        process.stdin.write(b'x')
        process.stdin.flush()
        process.stdout.read(1)
        times.append((time.monotonic() - begun) * 1e3)
        time.sleep(0.002)
    whole(process)
    return statistics.median(times)


def main():
    ways = json.load(open(sys.argv[1], encoding='utf-8'))
    rounds, size = int(sys.argv[2]), int(sys.argv[3]) * (1 << 20)
    measures = {
        'down, MB/s': lambda way: down(way, size),
        'up, MB/s': lambda way: up(way, size),
        'down on a terminal, MB/s': lambda way: down(way, size // 8, terminal=True),
        'there and back, ms': echo,
    }
    results = {name: {what: [] for what in measures} for name in ways}
    for number in range(rounds):
        for what, measure in measures.items():
            for name, way in ways.items():
                print(f'round {number + 1} of {rounds}: {what}, {name}', file=sys.stderr)
                results[name][what].append(measure(way))
    print('| | ' + ' | '.join(measures) + ' |\n|---|' + ' ---: |' * len(measures))
    first = next(iter(ways))
    for name in ways:
        cells = []
        for what in measures:
            value, peer = statistics.median(results[name][what]), statistics.median(results[first][what])
            cells.append(f'{value:.2f} ({value / peer:.2f})')
        print(f'| {name} | ' + ' | '.join(cells) + ' |')


main()
