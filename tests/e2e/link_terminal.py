#!/usr/bin/env python3
"""A shareable link's terminal, without a browser: types one line, prints what the terminal shows until it ends.

usage: link_terminal.py CA ADDRESS LINK MACHINE-ID LOGIN LINE
"""
import base64
import json
import os
import struct
import sys
import types
import urllib.parse

import tunnel_client


class Page(tunnel_client.WebSocket):
    def __init__(self, options, token, wanted):
        self.stream = tunnel_client.dial(options)
        key = base64.b64encode(os.urandom(16)).decode()
        here = f'{options.host}:{options.port}'
        self.stream.sendall((f'GET /web/terminal?{urllib.parse.urlencode(wanted)} HTTP/1.1\r\nHost: {here}\r\n'
                             'Upgrade: websocket\r\nConnection: Upgrade\r\n'
                             f'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nOrigin: https://{here}\r\n'
                             f'Cookie: __Host-merlon-link={token}\r\n\r\n').encode())
        self.status, fields, self.buffer = tunnel_client.read_head(self.stream)
        self.closed, self.rest = None, b''
        if self.status != 101:
            raise SystemExit(f'refused with {self.status}: {self.exactly(int(fields.get("content-length", 0))).decode()}')

    def frame(self):
        """The next one, of src/ssh/browser_frames.h: kind and payload; nothing at the end."""
        while len(self.rest) < 9 or len(self.rest) < struct.unpack('>I', self.rest[:4])[0] + 4:
            more = self.receive()
            if more is None:
                return None, b''
            self.rest += more
        length = struct.unpack('>I', self.rest[:4])[0] + 4
        kind, payload, self.rest = chr(self.rest[4]), self.rest[9:length], self.rest[length:]
        return kind, payload

    def put(self, kind, payload):
        self.send(struct.pack('>IcI', len(payload) + 5, kind.encode(), 1) + payload)


def main():
    authority, address, link, machine, login, line = sys.argv[1:]
    url = urllib.parse.urlsplit(link)
    page = Page(types.SimpleNamespace(ca=authority, address=address, host=url.hostname, port=url.port),
                url.path.rsplit('/', 1)[1], {'machine': machine, 'login': login})
    while True:
        kind, payload = page.frame()
        if kind == 'y':
            page.put('o', json.dumps({'what': 'shell', 'columns': 80, 'rows': 24}).encode())
            page.put('d', line.encode() + b'\r')
        elif kind == 'd':
            sys.stdout.write(payload.decode(errors='replace'))
        elif kind in ('n', 'x'):
            continue
        else:
            print(payload.decode())
            return


if __name__ == '__main__':
    main()
