"""Echo server on Python threads, one a connection: threads_server.py PORT"""
import contextlib
import resource
import socket
import sys
import threading


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(ConnectionError):
        while data := connection.recv(512):
            connection.sendall(data)


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
