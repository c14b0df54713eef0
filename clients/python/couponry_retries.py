"""What a client of couponry should do when an answer is a problem, or does not come.

It is a transport of httpx, so it works below any client that uses httpx, such as the one that
openapi-python-client generates from /openapi.json:

    client = AuthenticatedClient(
        base_url="http://127.0.0.1:8080", token=TOKEN, httpx_args={"transport": Retrying()}
    )

or httpx itself:

    async with httpx.AsyncClient(base_url=..., transport=AsyncRetrying()) as client:
        answer = await client.post("/v1/coupons/7K2M.../redeem", json={"user_id": "ann", "order_ref": "991"})

The problem document of couponry says in `retry` what to do (docs/problems):

- `never`: the answer is returned as it is.
- `later`: nothing was changed. The same request is sent again after `Retry-After`.
- `same`, or no answer: the write may have happened. Exactly the same request is sent again, and its answer says what
  happened. So a request is repeated only if a repeat is harmless: see `is_repeatable`.

All tries of a request together take at most `give_up_after` seconds. Then the last answer is returned, or the last
error is raised: with `same` or an error nobody knows what happened, so send the same request, with the same names, again
later. A request without a name of its own (an `issue` with a limit of one, a `hold`) finds what it did.
"""

import asyncio
import json
import random
import time

import httpx

GIVE_UP_AFTER = 30.0
"""Seconds for all tries of one request: a person waits that long for a payment."""

PAUSE_FIRST = 0.2
PAUSE_MAX = 5.0

TRY_TIMEOUT = httpx.Timeout(12.0, connect=3.0)
"""For one try: couponry gives up a write after ten seconds, and then says so."""


def is_repeatable(request: httpx.Request) -> bool:
    """Whether a request that may have been done already can be sent again."""
    if request.method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        return True
    if not request.headers.get("content-type", "").startswith("application/json"):
        # An import: send the same file again yourself, it goes on where it stopped.
        return False
    try:
        body = json.loads(request.content or b"{}")
    except ValueError:
        return False
    path = request.url.path
    if path.endswith("/revoke"):
        # Without a name its repeat could revoke the coupon from somebody who got it in between.
        has_name = body.get("revoke_ref") is not None or body.get("version") is not None
        return has_name or "idempotency-key" in request.headers
    if path.endswith("/batches"):
        return body.get("batch_id") is not None
    if path.endswith("/campaigns"):
        return body.get("campaign_id") is not None
    # A change with If-Match that was made has another tag, so its repeat would say that somebody else was faster.
    return "if-match" not in request.headers


class _Tries:
    """How often one request was sent, and when it is sent again."""

    def __init__(self, request: httpx.Request, give_up_after: float):
        # That of the client would be for all tries together.
        request.extensions = {**request.extensions, "timeout": TRY_TIMEOUT.as_dict()}
        self.repeatable = is_repeatable(request)
        self.ends = time.monotonic() + give_up_after
        self.pause = PAUSE_FIRST

    def _pause(self, at_least: float) -> float | None:
        """Seconds to wait, or None if that would take too long. Not all clients come back at once."""
        pause = max(at_least, self.pause * random.uniform(0.5, 1.5))
        self.pause = min(self.pause * 2, PAUSE_MAX)
        return pause if time.monotonic() + pause < self.ends else None

    def after_error(self, error: httpx.TransportError) -> float | None:
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
        return self._pause(0.0) if never_sent or self.repeatable else None

    def after_answer(self, status: int, headers: httpx.Headers, content: bytes) -> float | None:
        if status < 400:
            return None
        try:
            retry = json.loads(content).get("retry")
        except (ValueError, AttributeError):
            # Of a proxy, which does not say whether couponry got it.
            retry = "same" if status in (408, 429, 500, 502, 503, 504) else "never"
        # HELD or PAUSED would be over too late for a person who waits.
        if retry == "later" and status in (429, 503) or retry == "same" and self.repeatable:
            wait = headers.get("retry-after", "0")
            return self._pause(float(wait) if wait.isdigit() else 0.0)
        return None


class Retrying(httpx.BaseTransport):
    """A transport that sends requests again as the answer says."""

    def __init__(self, transport: httpx.BaseTransport | None = None, give_up_after: float = GIVE_UP_AFTER):
        self._transport = transport or httpx.HTTPTransport()
        self._give_up_after = give_up_after

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        tries = _Tries(request, self._give_up_after)
        while True:
            try:
                response = self._transport.handle_request(request)
                if response.status_code < 400:
                    return response
                response.read()
                pause = tries.after_answer(response.status_code, response.headers, response.content)
                if pause is None:
                    return response
            except httpx.TransportError as error:
                pause = tries.after_error(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def close(self) -> None:
        self._transport.close()


class AsyncRetrying(httpx.AsyncBaseTransport):
    """The same for programs with asyncio."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None, give_up_after: float = GIVE_UP_AFTER):
        self._transport = transport or httpx.AsyncHTTPTransport()
        self._give_up_after = give_up_after

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        tries = _Tries(request, self._give_up_after)
        while True:
            try:
                response = await self._transport.handle_async_request(request)
                if response.status_code < 400:
                    return response
                await response.aread()
                pause = tries.after_answer(response.status_code, response.headers, response.content)
                if pause is None:
                    return response
            except httpx.TransportError as error:
                pause = tries.after_error(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        await self._transport.aclose()
