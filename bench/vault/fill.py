#!/usr/bin/env python3
"""fill.py CA HOST PORT TOKEN FROM TO: puts secrets named s<FROM> … s<TO> into a vault, over a few connections at once."""
import asyncio
import ssl
import sys

CONNECTIONS = 32
ca, host, port, token, first, last = sys.argv[1:]


async def worker(numbers):
    context = ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port), ssl=context, server_hostname=host)
    for number in numbers:
        body = f'{{"value":"the value of secret {number}"}}'
        writer.write((f"PUT /secrets/s{number}?api-version=7.4 HTTP/1.1\r\nHost: {host}:{port}\r\n"
                      f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode())
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(length)
    writer.close()


async def main():
    numbers = iter(range(int(first), int(last) + 1))
    await asyncio.gather(*(worker(numbers) for _ in range(CONNECTIONS)))


asyncio.run(main())
