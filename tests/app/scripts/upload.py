"""Uploads a file and a message in weft's base protocol: upload.py HOST PORT FILE TEXT"""
import json, os, socket, struct, sys

host, port, path, text = sys.argv[1:]
frame = lambda data: struct.pack("<i", len(data)) + data
with socket.create_connection((host, int(port))) as s:
    s.sendall(frame(json.dumps({"msg_type": "msg"}).encode()) + frame(text.encode()))
    s.sendall(frame(json.dumps({"msg_type": "file", "file_name": os.path.basename(path)}).encode()))
    s.sendall(frame(open(path, "rb").read()))
    s.sendall(frame(b"close"))
