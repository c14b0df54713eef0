"""A receiver that verifies each POST with the official library for Python.

It prints its port, then the type and the order of each event whose signature is right. The secret is in the
file that it is called with."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = Webhook(Path(sys.argv[1]).read_text().strip()).verify(body, dict(self.headers))
            coupon = event["data"]["coupon"] or {}
            print(event["type"], coupon.get("order_ref"), flush=True)
            self.send_response(204)
        except WebhookVerificationError as why:
            print("wrong:", why, json.dumps(dict(self.headers)), flush=True)
            self.send_response(401)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
