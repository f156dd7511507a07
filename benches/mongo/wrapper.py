"""What many write first: lock a secondary, run the snapshot command, unlock. One process, one connection, no proof, nobody
who unlocks if it is killed.

wrapper.py URI COMMAND [flush]    with the address of one secondary; flush writes a checkpoint just before the lock"""

import subprocess
import sys

from pymongo import MongoClient

uri, command, *options = sys.argv[1:]
client = MongoClient(uri, directConnection=True)
if not client.admin.command("hello")["secondary"]:
    sys.exit("this is no secondary")
if "flush" in options:
    client.admin.command("fsync", 1)
client.admin.command({"fsync": 1, "lock": True})
try:
    code = subprocess.call([command])
finally:
    client.admin.command("fsyncUnlock")
sys.exit(code)
