"""Signs login tokens with boto3, at a time that is given: cases as JSON on stdin, tokens as JSON on stdout."""

import datetime
import json
import sys

import boto3
import botocore.auth

given = json.load(sys.stdin)
now = datetime.datetime.fromtimestamp(given["now"], datetime.timezone.utc)
assert hasattr(botocore.auth, "get_current_datetime"), "this botocore reads the clock elsewhere"
botocore.auth.get_current_datetime = lambda *_, **__: now

clients = {}


def client(session_token, region):
    key = (session_token, region)
    if key not in clients:
        session = boto3.Session(
            aws_access_key_id=given["access_key"],
            aws_secret_access_key=given["secret_key"],
            aws_session_token=session_token,
            region_name=region,
        )
        clients[key] = session.client("rds")
    return clients[key]


tokens = [
    client(case["session_token"], case["region"]).generate_db_auth_token(
        case["host"], case["port"], case["user"], case["region"]
    )
    for case in given["cases"]
]
json.dump(tokens, sys.stdout)
