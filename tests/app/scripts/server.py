"""Receives one conversation in weft's base protocol into this folder: server.py PORT"""
import json, socket, struct, sys


def exactly(conn, size):
    data = bytearray()
    while len(data) < size:
        piece = conn.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def frame(conn):
    return exactly(conn, struct.unpack("<i", exactly(conn, 4))[0])


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(listener.getsockname()[1], flush=True)
conn, peer = listener.accept()
with conn:
    while (control := frame(conn)) != b"close":
        message = json.loads(control)
        body = frame(conn)
        if message["msg_type"] == "msg":
            print(body.decode(), flush=True)
        else:
            with open(message["file_name"], "wb") as file:
                file.write(body)
