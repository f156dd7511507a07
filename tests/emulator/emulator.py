"""AWS as far as infra knows it, on loopback: python emulator.py PORT, or python emulator.py --many

RDS and Application Auto Scaling are ours; STS, IAM, KMS, Secrets Manager and S3 are moto's, IAM with stricter checks.
Port 0 takes a free one; the first line on stdout is the port. The emulator ends when its stdin does, so that a test which
dies does not leave it behind.

--many: for each line on stdin, which holds variables as a JSON object, there is one emulator more, a process of its own, and
one line on stdout with its port and process. Importing moto takes longer than anything else here and is done once, as are the
first answers of its services. All end when stdin does.

MOTO_ACCOUNT_ID            the account of credentials that belong to no other (a session of sts:AssumeRole belongs to the
                           account of its role)
EMULATOR_MASTER_PASSWORD   what stands in managed secrets
EMULATOR_PRINCIPALS        ARNs of users and roles that exist beforehand, separated by commas
EMULATOR_KMS_ALIASES       aliases of keys that exist beforehand (alias/aurora)
"""

import fnmatch
import gc
import io
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.parse
import xml.sax.saxutils

# Leaves no folder of compiled files in the checkout.
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import werkzeug.test
from moto.core.responses import ActionResult, BaseResponse
from moto.iam.models import PARTITION_NAMES, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.rds.responses import RDSResponse
from moto.sts.models import STSBackend
from werkzeug.serving import WSGIRequestHandler, make_server

import control
import iam  # noqa: F401  (each of these takes the place of something in moto)
import keys
import scaling  # noqa: F401
import shuffle
import store
import subnets  # noqa: F401
from store import SETTINGS, Fault


def current_account(self):
    """moto would let the environment variable decide for assumed roles too."""
    key = self.get_access_key()
    if key in SETTINGS.access_keys:
        return SETTINGS.access_keys[key]
    for account, backends in list(iam_backends.items()):
        if any(key in backends[partition].access_keys for partition in PARTITION_NAMES):
            return account
    return SETTINGS.default_account


def call_rds(self):
    """Our actions instead of moto's: plain dictionaries in the shape of the request and of the answer."""
    action = store.ACTIONS.get(self._get_action())
    try:
        if action is None:
            raise Fault("InvalidAction", f"The emulator does not know {self._get_action()}")
        answer = ActionResult(action(store.region(self.current_account, self.region), self.params))
    except Fault as fault:
        answer = ActionResult(fault)
    status, headers, body = self.serialized(answer)
    headers, body = self._enrich_response(headers, body)
    return status, headers, body


_caller_identity = STSBackend.get_caller_identity


def caller_identity(self, access_key_id, region):
    """Who has a key that nobody gave out is a user of the account, not moto's nobody."""
    user_id, arn, account = _caller_identity(self, access_key_id, region)
    if arn.endswith(":user/moto"):
        user_id, arn = "AIDAEMULATED0000000001", f"arn:{self.partition}:iam::{account}:user/operator"
    return user_id, arn, account


STSBackend.get_caller_identity = caller_identity
BaseResponse.get_current_account = current_account
RDSResponse.PROTOCOL_PARSER_MAP_TYPE = dict
RDSResponse.call_action = call_rds


class Recorder:
    """One call after the other, each written down; then the delay, for which nobody else waits."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/_emulator/"):
            with control.LOCK:
                status, text = control.answer(method, path, body)
            data = text.encode()
            start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
            return [data]
        call = {"service": service(environ), "action": action(environ, body), "time": time.time(), "asked": asked(body)}
        started = []
        with control.LOCK:
            control.CALLS.append(call)
            if any(fnmatch.fnmatchcase(f"{call['service']}:{call['action']}", one) for one in SETTINGS.denied):
                call["status"] = 403
                return denied(call, "HTTP_X_AMZ_TARGET" in environ, start_response)
            data = refusal(call["action"])
            if data is not None:
                started.append(("403 Forbidden", [("Content-Type", "text/xml"), ("Content-Length", str(len(data)))]))
            else:
                chunks = self.application(environ, lambda *arguments: started.append(arguments))
                data = b"".join(chunks)
                if hasattr(chunks, "close"):
                    chunks.close()
        status, headers = started[0][0], started[0][1]
        if SETTINGS.shuffle is not None and call["service"] != "s3" and status.startswith("200"):
            data = shuffle.shuffled(data, SETTINGS.shuffle)
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(data))))
        call["status"] = int(status.split()[0])
        time.sleep(SETTINGS.delay_ms / 1000)
        start_response(status, headers)
        return [data]


def refusal(action):
    """What a test has told to answer to an action, in the form of those services that speak XML."""
    told = SETTINGS.refusals.get(action)
    if told is None or told.get("times") == 0:
        return None
    if "times" in told:
        told["times"] -= 1
    code, message = (xml.sax.saxutils.escape(told.get(key, "")) for key in ("code", "message"))
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<ErrorResponse>{error}<RequestId>refused</RequestId></ErrorResponse>".encode()


def denied(call, is_json, start_response):
    """What IAM says to somebody whose policies lack an action."""
    message = f"User is not authorized to perform: {call['service']}:{call['action']}"
    if is_json:
        kind, text = "application/x-amz-json-1.1", json.dumps({"__type": "AccessDeniedException", "message": message})
    else:
        kind = "text/xml"
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{message}</Message></Error>"
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
        )
    start_response("403 Forbidden", [("Content-Type", kind), ("Content-Length", str(len(text)))])
    return [text.encode()]


def service(environ):
    """From the scope of the signature: key/date/region/service/aws4_request."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
    return scope[3] if len(scope) == 5 else "unsigned"


def action(environ, body):
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rpartition(".")[2]
    form = urllib.parse.parse_qs(body.decode("utf-8", "replace"))
    if "Action" in form:
        return form["Action"][0]
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


class Handler(WSGIRequestHandler):
    """Keeps connections open, as AWS does, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string((timestamp or time.time()) + SETTINGS.clock_ahead)


def asked(body):
    """The parameters of a call in the form of those services that take forms; policies are too long to be kept."""
    form = urllib.parse.parse_qs(body.decode("utf-8", "replace"))
    return {name: values[0] for name, values in form.items() if name not in ("Action", "Version") and len(values[0]) < 200}


def end_with(pipe):
    while os.read(pipe, 4096):
        pass
    os._exit(0)


def warm():
    """An application that has answered each service once: a service's first answer takes longer than a hundred others."""
    application = DomainDispatcherApplication(create_backend_app)
    client = werkzeug.test.Client(application)
    json_call = {"content_type": "application/x-amz-json-1.1", "data": "{}"}
    for name, call in {
        "rds": {"data": {"Action": "DescribeDBClusters", "Version": "2014-10-31"}},
        "iam": {"data": {"Action": "ListRoles", "Version": "2010-05-08"}},
        "sts": {"data": {"Action": "GetCallerIdentity", "Version": "2011-06-15"}},
        "secretsmanager": json_call | {"headers": {"X-Amz-Target": "secretsmanager.ListSecrets"}},
        "kms": json_call | {"headers": {"X-Amz-Target": "TrentService.ListKeys"}},
        "application-autoscaling": json_call
        | {
            "headers": {"X-Amz-Target": "AnyScaleFrontendService.DescribeScalableTargets"},
            "data": '{"ServiceNamespace": "rds"}',
        },
        "s3": {"method": "GET"},
    }.items():
        scope = f"AKIAWARM/20260101/us-east-1/{name}/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
        headers |= call.pop("headers", {})
        call = {"method": "POST", "base_url": f"http://{name}.us-east-1.amazonaws.com", "headers": headers} | call
        answer = client.open("/", **call)
        if answer.status_code != 200:
            sys.exit(f"{name} does not answer: {answer.status} {answer.text}")
    store.REGIONS.clear()
    # What is there by now stays, and needs no copy in any process that only looks whether it is garbage.
    gc.freeze()
    return application


def serve(port, pipe, say, application):
    """Never returns. It ends with the pipe."""
    SETTINGS.default_account = os.environ.pop("MOTO_ACCOUNT_ID", "123456789012")
    keys.configure()
    server = make_server("127.0.0.1", port, Recorder(application), threaded=True, request_handler=Handler)
    server.daemon_threads = True
    print(say(server), flush=True)
    threading.Thread(target=end_with, args=(pipe,), daemon=True).start()
    server.serve_forever()


def serve_many():
    application = warm()
    # Nobody asks how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # The writing end is ours alone, so that all see our end.
    pipe, ours = os.pipe()
    for line in sys.stdin:
        if os.fork() == 0:
            os.close(ours)
            os.environ.update(json.loads(line))
            random.seed()
            serve(0, pipe, lambda server: f"{server.port} {os.getpid()}", application)


def main():
    if sys.argv[1] == "--many":
        serve_many()
    else:
        application = DomainDispatcherApplication(create_backend_app)
        serve(int(sys.argv[1]), sys.stdin.fileno(), lambda server: server.port, application)


if __name__ == "__main__":
    main()
