"""A tunnel: takes connections on a port of this machine and forwards them to another."""

import os
import socket
import sys
import threading

here, there, notes = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with open(notes, "a", encoding="utf-8") as file:
    file.write(f"{os.getpid()} {' '.join(sys.argv[4:])}\n")


def copy(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)


def forward(client):
    try:
        server = socket.create_connection(("127.0.0.1", there))
    except OSError as error:
        print(error, flush=True)
        client.close()
        return
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    threading.Thread(target=copy, args=(server, client), daemon=True).start()


listener = socket.create_server(("127.0.0.1", here))
while True:
    forward(listener.accept()[0])
