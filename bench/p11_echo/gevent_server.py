"""Echo server on gevent, one greenlet a connection: gevent_server.py PORT"""
import contextlib
import resource
import socket
import sys

from gevent.server import StreamServer


def serve(connection, _address):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(ConnectionError):
        while data := connection.recv(512):
            connection.sendall(data)


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
StreamServer(("127.0.0.1", int(sys.argv[1])), serve, backlog=4096).serve_forever()
