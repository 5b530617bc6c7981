"""The other side of tests/process/listener_test.cpp: CPython's multiprocessing.connection.

    peer.py client ADDRESS KEY DIALECT      connects, and talks
    peer.py listener ADDRESS KEY DIALECT    listens, writes its address on a line of its own, accepts once, and talks

ADDRESS: host:port, a path, or @name for an abstract one. KEY: hexadecimal, or "none". DIALECT: "own" is that of this Python; "md5" and
"sha256" are those of Python up to 3.11 and from 3.12 on, whichever this is. Exit status: 0: all was as expected; 3: the other side's
key is not ours.
"""
import hmac
import multiprocessing.connection
import os
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

VALUES = [
    None, True, False, 0, 1, 255, 256, 65535, 65536, -1, 2**31 - 1, 2**31, -2**31 - 1, 2**63 - 1, -2**63,
    0.0, 1.5, -1e300, float("inf"),
    "", "abc", "h\u00e9llo \u20ac \U0001f600", "x" * 70_000, "\ud800",
    b"", b"\x00\xff", b"y" * 70_000,
    [], [1, [2, [3]]], list(range(3000)), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, "four"),
    {}, {"a": 1}, {1: "x", "two": [2], (3, 3): None, 4.5: b"z"}, {str(i): i for i in range(2500)},
    set(), {1, "a", (2, b"c")}, frozenset(), frozenset({1, 2}),
]


def parse(text):
    if text.startswith("@"):
        return "\0" + text[1:]
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon and "/" not in text else text


def speak(dialect):
    """Shows and asks for keys in that dialect from here on."""

    def deliver_challenge(connection, key):
        challenge = os.urandom(20) if dialect == "md5" else b"{sha256}" + os.urandom(40)
        connection.send_bytes(b"#CHALLENGE#" + challenge)
        code = hmac.new(key, challenge, dialect).digest()
        expected = code if dialect == "md5" else b"{sha256}" + code
        if connection.recv_bytes(256) != expected:
            connection.send_bytes(b"#FAILURE#")
            raise AuthenticationError("digest received was wrong")
        connection.send_bytes(b"#WELCOME#")

    def answer_challenge(connection, key):
        message = connection.recv_bytes(256)
        assert message.startswith(b"#CHALLENGE#"), message
        challenge = message[len(b"#CHALLENGE#"):]
        if dialect == "md5":  # whatever the challenge names
            answer = hmac.new(key, challenge, "md5").digest()
        else:
            assert challenge.startswith(b"{sha256}"), message
            answer = b"{sha256}" + hmac.new(key, challenge, "sha256").digest()
        connection.send_bytes(answer)
        if connection.recv_bytes(256) != b"#WELCOME#":
            raise AuthenticationError("digest sent was rejected")

    multiprocessing.connection.deliver_challenge = deliver_challenge
    multiprocessing.connection.answer_challenge = answer_challenge


def talk(connection):
    connection.send_bytes(b"hello")
    assert connection.recv_bytes() == b"hello back"
    for size in (0, 1, 16384, 16385, 3_000_000):
        connection.send_bytes(b"s" * size)
        assert connection.recv_bytes() == b"s" * size, size
    for value in VALUES:
        connection.send(value)
        got = connection.recv()
        assert got == value and type(got) is type(value), (value, got)
    shared = ["twice"]
    connection.send([shared, shared, "again", "again"])
    assert connection.recv() == [["twice"], ["twice"], "again", "again"]
    connection.send("done")
    try:
        connection.recv()
    except EOFError:
        return
    raise AssertionError("the other side goes on")


def main():
    role, address, key, dialect = sys.argv[1:]
    if dialect != "own":
        speak(dialect)
    address = parse(address)
    key = None if key == "none" else bytes.fromhex(key)
    try:
        if role == "client":
            with Client(address, authkey=key) as connection:
                talk(connection)
        else:
            with Listener(address, authkey=key) as listener:
                where = listener.address
                print("%s:%d" % where if isinstance(where, tuple) else sys.argv[2], flush=True)
                with listener.accept() as connection:
                    talk(connection)
    except AuthenticationError:
        sys.exit(3)


main()
