"""Which answers `Retrying` sends a request again for, with answers that are made up."""

import json

import httpx
from couponry_retries import Retrying


def problem(status, retry, wait=None):
    headers = {} if wait is None else {"retry-after": wait}
    return lambda: httpx.Response(status, headers=headers, content=json.dumps({"retry": retry}))


def good():
    return httpx.Response(201, content="{}")


def proxy():
    return httpx.Response(502, content="Bad gateway")


def lost():
    raise httpx.ReadError("the connection broke")


def refused():
    raise httpx.ConnectError("nobody listens")


REDEEM = ("/v1/coupons/A/redeem", {"order_ref": "1"})
REVOKE = ("/v1/coupons/A/revoke", {"user_id": "ann"})
NAMED = ("/v1/coupons/A/revoke", {"user_id": "ann", "revoke_ref": "r"})

# Name, request, the answers, how often it is sent, and how it ends: a status, or None for an error.
CASES = [
    ("good", REDEEM, [good], 1, 201),
    ("refused", REDEEM, [problem(409, "never")], 1, 409),
    ("held for another order", REDEEM, [problem(409, "later")], 1, 409),
    ("overloaded", REDEEM, [problem(503, "later"), good], 2, 201),
    ("unknown", REDEEM, [problem(503, "same"), good], 2, 201),
    ("lost", REDEEM, [lost, lost, good], 3, 201),
    ("of a proxy", REDEEM, [proxy, good], 2, 201),
    ("lost, and no name", REVOKE, [lost, good], 1, None),
    ("never sent, and no name", REVOKE, [refused, good], 2, 201),
    ("unknown, and no name", REVOKE, [problem(503, "same"), good], 1, 503),
    ("lost, with a name", NAMED, [lost, good], 2, 201),
    ("a wait that is too long", REDEEM, [problem(429, "later", "600"), good], 1, 429),
]

for name, (path, body), answers, sent, end in CASES:
    bodies = []

    def answer(request):
        bodies.append(request.content)
        return answers[len(bodies) - 1]()

    transport = Retrying(httpx.MockTransport(answer), give_up_after=10.0)
    with httpx.Client(base_url="http://127.0.0.1", transport=transport) as client:
        try:
            status = client.post(path, json=body).status_code
        except httpx.TransportError:
            status = None
    if (status, len(bodies), len(set(bodies))) != (end, sent, 1):
        raise SystemExit(f"{name}: {status} after {len(bodies)} of {set(bodies)}, want {end} after {sent}")
