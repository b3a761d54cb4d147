#!/usr/bin/env python3
"""Somebody who means harm, at the bastion's door for SSH: what is no protocol, and messages that are out of order, in
each state of a connection. Each time the connection must end, or the message be refused, and nobody be let in.

  hostile_ssh.py HOST PORT KEY USER     KEY has a certificate beside it, which lets USER in
"""
import os
import socket
import struct
import sys
import time

import paramiko
from paramiko import Message

HOST, PORT, KEY, USER = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
PATIENCE = float(os.environ.get('MERLON_PATIENCE', '1'))
VERSION = b'SSH-2.0-hostile\r\n'

SERVICE_REQUEST, SERVICE_ACCEPT, KEXINIT, NEWKEYS, KEXDH_INIT = 5, 6, 20, 21, 30
AUTH_REQUEST, AUTH_FAILURE, AUTH_SUCCESS, INFO_RESPONSE = 50, 51, 52, 61
CHANNEL_OPEN, CHANNEL_OPENED, WINDOW_ADJUST, CHANNEL_DATA, CHANNEL_REQUEST = 90, 91, 93, 94, 98


def fail(what):
    print('FAILED: ' + what)
    sys.exit(1)


def ok(what):
    print('ok: ' + what)


# ---- before there are keys: plain packets (RFC 4253 section 6)

def packet(payload):
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack('>IB', len(payload) + padding + 1, padding) + payload + bytes(padding)


def kexinit(lists=None):
    names = [b'curve25519-sha256', b'ssh-ed25519', b'aes256-gcm@openssh.com', b'aes256-gcm@openssh.com',
             b'hmac-sha2-256-etm@openssh.com', b'hmac-sha2-256-etm@openssh.com', b'none', b'none', b'', b'']
    body = b''.join(struct.pack('>I', len(name)) + name for name in names) if lists is None else lists
    return packet(bytes([KEXINIT]) + os.urandom(16) + body + b'\0' + struct.pack('>I', 0))


def plain_kinds(data):
    while len(data) > 5:
        yield data[5]
        data = data[4 + struct.unpack('>I', data[:4])[0]:]


def plain(what, *sends):
    """The connection is closed after this, and nothing in the answer lets anybody go on."""
    with socket.create_connection((HOST, PORT), timeout=30 * PATIENCE) as stream:
        try:
            for data in sends:
                stream.sendall(data)
        except OSError:
            pass  # it has closed already
        got = b''
        try:
            while more := stream.recv(65536):
                got += more
                if len(got) > 1 << 20:
                    fail(what + ': the answer has no end')
        except socket.timeout:
            fail(what + ': the connection stays')
        except OSError:
            pass
    for kind in plain_kinds(got.partition(b'\r\n')[2]):
        if kind in (SERVICE_ACCEPT, AUTH_SUCCESS):
            fail(f'{what}: was answered by message {kind}')
    ok(what)


def before_keys():
    plain('bytes of no protocol', os.urandom(65536))
    plain('a browser', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n' + bytes(4096))
    plain('a version without end', b'SSH-2.0-' + b'A' * 100000)
    plain('an old version', b'SSH-1.5-old\r\n', bytes(64))
    plain('a packet of four gigabytes', VERSION, struct.pack('>I', 0xffffffff) + bytes(64))
    plain('a packet of nothing', VERSION, bytes(64))
    plain('padding longer than its packet', VERSION, struct.pack('>IB', 12, 255) + bytes(64))
    plain('"you are in", said by the client', VERSION, packet(bytes([AUTH_SUCCESS])), bytes(64))
    plain('a sign-in before there are keys', VERSION,
          packet(bytes([AUTH_REQUEST]) + b''.join(struct.pack('>I', len(x)) + x for x in
                                                  (USER.encode(), b'ssh-connection', b'none'))), bytes(64))
    plain('new keys before any were made', VERSION, packet(bytes([NEWKEYS])), bytes(64))
    plain('lists longer than their packet', VERSION, kexinit(struct.pack('>I', 0x7fffffff) + b'x' * 64), bytes(64))
    plain('no algorithm in common', VERSION, kexinit(struct.pack('>I', 4) + b'none' + struct.pack('>I', 0) * 9), bytes(64))
    plain('a key exchange of garbage', VERSION, kexinit(),
          packet(bytes([KEXDH_INIT]) + struct.pack('>I', 0x10000) + os.urandom(512)), bytes(64))
    plain('a key exchange with the point of nothing', VERSION, kexinit(),
          packet(bytes([KEXDH_INIT]) + struct.pack('>I', 32) + bytes(32)), bytes(64))


# ---- with keys

def fresh():
    transport = paramiko.Transport(socket.create_connection((HOST, PORT), timeout=30 * PATIENCE))
    transport.banner_timeout = transport.handshake_timeout = 60 * PATIENCE
    transport.seen = []  # the kinds of all messages that come
    read = transport.packetizer.read_message

    def read_and_note():
        kind, content = read()
        transport.seen.append(kind)
        return kind, content

    transport.packetizer.read_message = read_and_note
    transport.start_client(timeout=60 * PATIENCE)
    return transport


def message(kind, *parts):
    made = Message()
    made.add_byte(bytes([kind]))
    for part in parts:
        if isinstance(part, bool):
            made.add_boolean(part)
        elif isinstance(part, int):
            made.add_int(part)
        else:
            made.add_string(part)
    return made


def gone(transport):
    end = time.monotonic() + 30 * PATIENCE
    while transport.is_active():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def is_in(transport):
    return AUTH_SUCCESS in transport.seen or CHANNEL_OPENED in transport.seen


def out_of_order(what, *messages):
    """Sent after the key exchange, before anybody has signed in: the connection ends, and nobody is in."""
    transport = fresh()
    for each in messages:
        try:
            transport._send_message(each)
        except (OSError, EOFError):
            break
    if not gone(transport):
        fail(what + ': the connection stays')
    if is_in(transport):
        fail(what + ': somebody is in')
    transport.close()
    if what:
        ok(what)


def sign_in(kind, user=USER, *more):
    return message(AUTH_REQUEST, user, 'ssh-connection', kind, *more)


def stolen_certificate():
    """Certificates are public: whoever has one, and not its key, is nobody."""
    key = paramiko.Ed25519Key.from_private_key_file(KEY)
    key.load_certificate(KEY + '-cert.pub')
    blob = key.public_blob.key_blob
    for signature in (b'', os.urandom(83), b'\0\0\0\x0bssh-ed25519\0\0\0\x40' + os.urandom(64),
                      b'\0\0\0\x0bssh-ed25519\0\0\0\x40' + bytes(64), b'\xff' * 64):
        out_of_order('', message(SERVICE_REQUEST, 'ssh-userauth'),
                     sign_in('publickey', USER, True, 'ssh-ed25519-cert-v01@openssh.com', blob, signature),
                     message(CHANNEL_OPEN, 'session', 0, 1 << 20, 32768))
    ok('a certificate without its key lets nobody in')


def before_sign_in():
    service = message(SERVICE_REQUEST, 'ssh-userauth')
    channel = message(CHANNEL_OPEN, 'session', 0, 1 << 20, 32768)
    out_of_order('"you are in" with keys, and a channel (CVE-2018-10933)', message(AUTH_SUCCESS), channel)
    out_of_order('the same after asking for the service', service, message(AUTH_SUCCESS), channel)
    out_of_order('a channel before signing in', service, channel)
    out_of_order('a request in a channel that is not there', service, message(CHANNEL_REQUEST, 0, 'exec', True, 'id'))
    out_of_order('a sign-in without asking for the service', sign_in('none'), channel)
    out_of_order('another service', message(SERVICE_REQUEST, 'ssh-connection'), channel)
    out_of_order('the service twice', service, service, channel)
    out_of_order('another name half-way', service, sign_in('none'), sign_in('none', 'admin+web-2'), channel)
    out_of_order('an answer that nobody asked for', service, message(INFO_RESPONSE, 1, 'x'), channel)
    out_of_order('a name of 100,000 bytes', service, sign_in('none', 'a' * 100000), channel)
    out_of_order('a name with an escape sequence', service, sign_in('none', 'admin+web-1\x1b]0;x\x07'), channel)
    out_of_order('passwords and a hundred sign-ins', service, *([sign_in('password', USER, False, 'x')] * 100), channel)
    transport = fresh()
    transport.sock.sendall(os.urandom(4096))
    if not gone(transport):
        fail('bytes that no key has sealed: the connection stays')
    ok('bytes that no key has sealed')
    stolen_certificate()


# ---- signed in

def inside(user=USER):
    transport = fresh()
    key = paramiko.Ed25519Key.from_private_key_file(KEY)
    key.load_certificate(KEY + '-cert.pub')
    transport.auth_publickey(user, key)
    return transport


def refused_channel(transport, kind, **more):
    try:
        transport.open_channel(kind, timeout=30 * PATIENCE, **more)
    except (paramiko.ChannelException, paramiko.SSHException):
        return
    fail(f'a channel of the kind {kind} is opened')


def says(channel):
    out = b''
    while more := channel.recv(65536):
        out += more
    while more := channel.recv_stderr(65536):
        out += more
    return out.decode(errors='replace'), channel.recv_exit_status()


def after_sign_in():
    transport = inside()
    for kind in ('x11', 'forwarded-tcpip', 'auth-agent@openssh.com', 'tun@openssh.com', 'made-up'):
        refused_channel(transport, kind, src_addr=('127.0.0.1', 1), dest_addr=('127.0.0.1', 1))
    for request in ('tcpip-forward', 'streamlocal-forward@openssh.com', 'made-up'):
        if transport.global_request(request, ('', 0) if request == 'tcpip-forward' else None) is not None:
            fail(request + ' is granted')
    ok('channels and requests that nobody may have')
    other = inside()
    other._send_message(sign_in('none', 'root+web-2'))
    if not gone(other):
        fail('another sign-in, once in: the connection stays')
    ok('another sign-in, once in')
    channel = transport.open_session(timeout=30 * PATIENCE)
    for name in ('LD_PRELOAD', 'BASH_ENV', 'FOO', 'LANG'):
        channel.set_environment_variable(name, '/nowhere')
    channel.exec_command('id -un; echo "$LD_PRELOAD:$BASH_ENV:$FOO:$LANG"')
    out, status = says(channel)
    if (out.split(), status) != (['admin', ':::/nowhere'], 0):
        fail(f'who runs it, with what: {out!r}, {status}')
    ok('no variable that changes what runs')
    channel = transport.open_session(timeout=30 * PATIENCE)
    channel.exec_command('cat')
    for again in (lambda: channel.exec_command('id'), channel.invoke_shell, lambda: channel.invoke_subsystem('sftp'),
                  channel.get_pty):
        try:
            again()
            fail('a second beginning in one channel is granted')
        except paramiko.SSHException:
            break  # paramiko closes the channel
    ok('a channel begins once')
    # More than the window has room for, and a window without end.
    channel = transport.open_session(timeout=30 * PATIENCE)
    channel.exec_command('sleep 60')
    try:
        for _ in range(3):
            transport._send_message(message(WINDOW_ADJUST, channel.remote_chanid, 0xffffffff))
        for _ in range(1000):
            transport._send_message(message(CHANNEL_DATA, channel.remote_chanid, bytes(16000)))
        transport._send_message(message(CHANNEL_DATA, 4711, b'nobody'))
        transport._send_message(message(CHANNEL_REQUEST, 4711, 'exec', True, 'id'))
        transport._send_message(message(WINDOW_ADJUST, 4711, 1))
    except (OSError, EOFError):
        pass
    transport.close()
    ok('data beyond the window and in channels that are not there')
    many = inside()
    kept = []  # what is forgotten is closed
    try:
        for _ in range(64):
            kept.append(many.open_session(timeout=30 * PATIENCE))
    except (paramiko.ChannelException, paramiko.SSHException):
        pass
    if not 1 <= len(kept) <= 32:
        fail(f'{len(kept)} channels are opened in one connection')
    many.close()
    ok(f'{len(kept)} channels at once and no more')


if __name__ == '__main__':
    paramiko.util.get_logger('paramiko').setLevel(100)
    before_keys()
    before_sign_in()
    after_sign_in()
