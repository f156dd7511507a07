"""Opens pages in Chromium and does as it is told: python browser.py CHROMIUM < visits.json > reports.json

A visit is {"file": path, "steps": [...]}; a step is one of
    {"evaluate": "JavaScript"}                  its value is reported, in the order of the steps
    {"press": "Tab", "shift": true}             a key, by its name in the DOM
    {"type": "text"}
    {"size": [width, height]}                   in CSS pixels; as a phone if it is narrow
    {"scheme": "dark"}                          what the system prefers
    {"shot": "file.png"}                        a picture of the whole page
A report is {"values": [...], "console": [...], "requests": [...], "dialogs": [...]}: what the page said, asked for, and opened.

One browser serves all visits, each in a page of its own. It is spoken to through pipes, so that nothing listens on a port, with
a profile that is new and removed afterwards.
"""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

# Of the whole run; a test fails rather than hangs.
PATIENCE = 300
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --force-color-profile=srgb
--remote-debugging-pipe""".split()
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "/": 191}


class Browser:
    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="infra-chromium-")
        read, self.out = os.pipe()
        self.into, write = os.pipe()

        def wire():
            # Through numbers that are neither's, for one end may be the other's.
            ends = os.dup(read), os.dup(write)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=wire, close_fds=False,
        )
        os.close(read)
        os.close(write)
        self.end = time.monotonic() + PATIENCE
        self.buffer = b""
        self.number = 0
        self.events = []

    def message(self):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.into], [], [], max(0, self.end - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium did not answer in time")
            chunk = os.read(self.into, 1 << 16)
            if not chunk:
                raise EOFError(f"Chromium has ended with {self.process.wait()}")
            self.buffer += chunk
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.keep(answer)

    def keep(self, event):
        self.events.append(event)
        # A dialog holds up everything behind it.
        if event.get("method") == "Page.javascriptDialogOpening":
            self.number += 1
            answer = {"id": self.number, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}}
            answer["sessionId"] = event["sessionId"]
            os.write(self.out, json.dumps(answer).encode() + b"\0")

    def until(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.keep(self.message())

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except Exception:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Network", "Log", "Audits"]:
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def step(self, step):
        if "evaluate" in step:
            answer = self.call("Runtime.evaluate", expression=step["evaluate"], returnByValue=True, awaitPromise=True)
            if "exceptionDetails" in answer:
                raise RuntimeError(json.dumps(answer["exceptionDetails"]))
            return [answer["result"].get("value")]
        if "press" in step:
            key = step["press"]
            parameters = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if step.get("shift") else 0}
            text = {"Enter": "\r", " ": " ", "/": "/"}.get(key)
            self.call("Input.dispatchKeyEvent", type="keyDown", **parameters, **({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)
        elif "type" in step:
            self.call("Input.insertText", text=step["type"])
        elif "size" in step:
            width, height = step["size"]
            self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        elif "scheme" in step:
            features = [{"name": "prefers-color-scheme", "value": step["scheme"]}]
            self.call("Emulation.setEmulatedMedia", features=features)
        elif "shot" in step:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8000), "scale": 1}
            shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
            pathlib.Path(step["shot"]).write_bytes(base64.b64decode(shot["data"]))
        else:
            raise ValueError(f"unknown step {step}")
        return []

    def visit(self, visit):
        self.browser.events = []
        self.call("Page.navigate", url=pathlib.Path(visit["file"]).absolute().as_uri())
        self.browser.until("Page.loadEventFired")
        values = [value for step in visit["steps"] for value in self.step(step)]
        report = {"values": values, "console": [], "requests": [], "dialogs": []}
        for event in self.browser.events:
            method, parameters = event.get("method"), event.get("params", {})
            # Not what the page does, but what the browser thinks of how one got there.
            if parameters.get("issue", {}).get("code") == "GenericIssue":
                continue
            if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded"):
                report["console"].append(json.dumps(parameters))
            elif method == "Network.requestWillBeSent":
                report["requests"].append(parameters["request"]["url"])
            elif method == "Page.javascriptDialogOpening":
                report["dialogs"].append(parameters["message"])
        self.browser.call("Target.closeTarget", targetId=self.target)
        return report


def main():
    browser = Browser(sys.argv[1])
    try:
        print(json.dumps([Page(browser).visit(visit) for visit in json.load(sys.stdin)]))
    finally:
        browser.close()


main()
