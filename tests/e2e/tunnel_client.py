#!/usr/bin/env python3
"""A client of the bastion's data plane, written from the contract alone: standard library, no code of Merlon's.

  tunnel_client.py tokens  ...        asks for tokens, prints the answer's status and JSON
  tunnel_client.py connect WEBSOCKET  redeems a websocketToken, carries standard input and output
  tunnel_client.py proxy              tokens, connect and delete: ssh's ProxyCommand
  tunnel_client.py race COUNT         as many at once as COUNT; prints how many were let in, and why not the others
  tunnel_client.py replay COUNT       the same with one token for all of them
"""
import argparse
import base64
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import urllib.parse

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


def dial(options):
    context = ssl.create_default_context(cafile=options.ca)
    raw = socket.create_connection((options.address, options.port), timeout=30)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname=options.host)


def read_head(stream):
    data = b''
    while b'\r\n\r\n' not in data:
        more = stream.recv(4096)
        if not more:
            raise SystemExit('the server closed without an answer')
        data += more
    head, _, rest = data.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(':')
        fields[name.strip().lower()] = value.strip()
    return int(lines[0].split()[1]), fields, rest


def exchange(options, method, path, body=b'', content_type=None):
    stream = dial(options)
    head = f'{method} {path} HTTP/1.1\r\nHost: {options.host}:{options.port}\r\nConnection: close\r\n'
    if content_type:
        head += f'Content-Type: {content_type}\r\n'
    stream.sendall((head + f'Content-Length: {len(body)}\r\n\r\n').encode() + body)
    status, fields, rest = read_head(stream)
    length = int(fields.get('content-length', 0))
    while len(rest) < length:
        more = stream.recv(65536)
        if not more:
            break
        rest += more
    return status, rest


def tokens(options, resource=None, port=None, last=''):
    form = {'resourceId': resource or options.resource, 'protocol': 'tcptunnel',
            'workloadHostPort': port or options.workload_port, 'aztoken': options.token}
    if last:
        form['token'] = last
    status, body = exchange(options, 'POST', '/api/tokens', urllib.parse.urlencode(form).encode(),
                            'application/x-www-form-urlencoded')
    return status, json.loads(body or b'{}')


class WebSocket:
    def __init__(self, options, path):
        self.stream = dial(options)
        key = base64.b64encode(os.urandom(16))
        self.stream.sendall((f'GET {path} HTTP/1.1\r\nHost: {options.host}:{options.port}\r\nUpgrade: websocket\r\n'
                             f'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n'
                             'Origin: https://' + options.host + '\r\n\r\n').encode())
        self.status, fields, self.buffer = read_head(self.stream)
        if self.status != 101:
            length = int(fields.get('content-length', 0))
            while len(self.buffer) < length:
                self.buffer += self.stream.recv(4096)
            self.refusal = self.buffer.decode()
            return
        wanted = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if fields.get('sec-websocket-accept') != wanted:
            raise SystemExit('the server did not prove that it read the key')
        if 'sec-websocket-extensions' in fields:
            raise SystemExit('the server took an extension that was not asked for')
        self.closed = None

    def send(self, data, opcode=2):
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 65536:
            head += bytes([0x80 | 126]) + struct.pack('>H', len(data))
        else:
            head += bytes([0x80 | 127]) + struct.pack('>Q', len(data))
        mask = os.urandom(4)
        repeated = (mask * (len(data) // 4 + 1))[:len(data)]
        masked = (int.from_bytes(data, 'big') ^ int.from_bytes(repeated, 'big')).to_bytes(len(data), 'big')
        self.stream.sendall(head + mask + masked)

    def exactly(self, count):
        while len(self.buffer) < count:
            more = self.stream.recv(65536)
            if not more:
                return None
            self.buffer += more
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def receive(self):
        """One frame's bytes; None at the end, whose reason is in self.closed then."""
        head = self.exactly(2)
        if head is None:
            return None
        if head[1] & 0x80:
            raise SystemExit('the server masked a frame')
        length = head[1] & 0x7f
        if length == 126:
            length = struct.unpack('>H', self.exactly(2))[0]
        elif length == 127:
            length = struct.unpack('>Q', self.exactly(8))[0]
        data = self.exactly(length) if length else b''
        opcode = head[0] & 0x0f
        if opcode == 8:
            self.closed = (struct.unpack('>H', data[:2])[0], data[2:].decode()) if data else (1005, '')
            return None
        if opcode == 9:
            self.send(data, 10)
            return b''
        return data


def carry(websocket):
    inputs = [0, websocket.stream]
    while True:
        ready = [websocket.stream] if websocket.buffer or websocket.stream.pending() else \
            select.select(inputs, [], [])[0]
        if websocket.stream in ready:
            data = websocket.receive()
            if data is None:
                if websocket.closed and websocket.closed[1]:
                    print(f'closed {websocket.closed[0]}: {websocket.closed[1]}', file=sys.stderr)
                return
            while data:
                data = data[os.write(1, data):]
        if 0 in ready:
            data = os.read(0, 65536)
            websocket.send(data if data else b'', 2 if data else 8)
            if not data:
                return


def connect(options, websocket_token):
    websocket = WebSocket(options, f'/webtunnelv2/{websocket_token}?X-Node-Id={options.node}')
    if websocket.status != 101:
        print(f'{websocket.status} {websocket.refusal}', file=sys.stderr)
        raise SystemExit(3)
    carry(websocket)


def race(options, count, one_token=False):
    given = [tokens(options)] * count if one_token else [tokens(options) for _ in range(count)]
    gate, lock, results, sockets = threading.Barrier(count), threading.Lock(), [], []

    def one(answer):
        gate.wait()
        websocket = WebSocket(options, f'/webtunnelv2/{answer[1]["websocketToken"]}?X-Node-Id=x')
        with lock:
            results.append('in' if websocket.status == 101 else json.loads(websocket.refusal)['code'])
            sockets.append(websocket)

    threads = [threading.Thread(target=one, args=(answer,)) for answer in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({what: results.count(what) for what in sorted(set(results))}))
    sys.stdout.flush()
    sys.stdin.read()  # held open until the test has looked


def main():
    parser = argparse.ArgumentParser()
    for name in ('address', 'host', 'ca', 'resource', 'token'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--port', type=int, default=8443)
    parser.add_argument('--workload-port', default='22')
    parser.add_argument('--last', default='')
    parser.add_argument('--node', default='x')
    parser.add_argument('what', choices=['tokens', 'connect', 'proxy', 'race', 'replay', 'delete'])
    parser.add_argument('argument', nargs='?', default='')
    options = parser.parse_args()
    if options.what == 'tokens':
        status, answer = tokens(options, last=options.last)
        print(json.dumps({'status': status, **answer}))
    elif options.what == 'connect':
        connect(options, options.argument)
    elif options.what == 'delete':
        print(exchange(options, 'DELETE', '/api/tokens/' + options.argument)[0])
    elif options.what in ('race', 'replay'):
        race(options, int(options.argument), options.what == 'replay')
    else:
        status, answer = tokens(options)
        if status != 200:
            print(f'{status} {answer.get("message")}', file=sys.stderr)
            raise SystemExit(2)
        options.node = answer['nodeId']
        connect(options, answer['websocketToken'])
        status = exchange(options, 'DELETE', '/api/tokens/' + answer['authToken'])[0]
        if status not in (200, 204, 404):
            raise SystemExit(f'DELETE answered {status}')


if __name__ == '__main__':
    main()
