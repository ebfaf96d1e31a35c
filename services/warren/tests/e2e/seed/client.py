"""The article's two ways through the API, as a program of its readers has them: only the base URL is another.

Usage: client.py BASE_URL USERNAME PASSWORD. Speaks to whoever starts it in lines: `qr CODE`, then waits for a line with
somebody's number to write to, prints `sent`, waits for a line `written`, and prints `heard TEXT`.
"""

import json
import sys
import urllib.request

from websockets.sync.client import connect

base, username, password = sys.argv[1:4]
sockets = base.replace("http", "ws", 1)
PATIENCE = 60


def call(method, path, body=None, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def say(*words):
    print(*words, flush=True)


def hear(socket, event):
    while True:
        frame = json.loads(socket.recv(timeout=PATIENCE))
        if frame["event"] == event:
            return frame["data"]


token = call("POST", "/login-jwt", {"username": username, "password": password})["token"]
headers = {"Authorization": f"Bearer {token}"}
assert call("GET", "/api/validate", token=token)["username"] == username

# Link an account: the code comes over the global WebSocket.
with connect(f"{sockets}/ws", additional_headers=headers) as events:
    instance = call("POST", "/api/login", {"kelompok": "sales"}, token)["data"]["instanceId"]
    assert call("GET", f"/api/qr/{instance}", token=token)["data"]["status"] == "generating"
    say("qr", hear(events, "QR_GENERATED")["qr_data"])
    assert hear(events, "QR_SUCCESS")["instance_id"] == instance
    online = hear(events, "INSTANCE_STATUS_CHANGED")
    assert (online["status"], online["is_connected"]) == ("online", True), online

# Write: by the instance's id, and by its number.
device = call("GET", f"/api/info-device/{instance}", token=token)["data"]
person = sys.stdin.readline().strip()
by_instance = call("POST", f"/api/send/{instance}", {"to": person, "message": "by instance"}, token)
by_number = call("POST", f"/api/by-number/{device['phoneNumber']}", {"to": person, "message": "by number"}, token)
assert by_instance["success"] and by_instance["data"]["verified"], by_instance
assert by_number["data"]["from"] == device["phoneNumber"], by_number

# Listen: the messages of one instance.
with connect(f"{sockets}/api/listen/{instance}", additional_headers=headers) as inbox:
    say("sent")
    assert sys.stdin.readline().strip() == "written"
    message = hear(inbox, "incoming_message")
    assert message["instance_id"] == instance and not message["from_me"], message
    say("heard", message["message"])
