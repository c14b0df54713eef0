"""A shop with FastAPI that takes coupons of couponry: check-out with a hold, payment, refund, wallet, webhook.

    COUPONRY=http://127.0.0.1:8080 COUPONRY_TOKEN=... WEBHOOK_SECRET=whsec_... PORT=3000 python shop.py

The token is one of a shop: couponry token --role shop. `couponry_retries.py` of clients/python has to
be where Python finds it. The orders are in memory; a real shop has a database.
"""

import os
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated

import httpx
import uvicorn
from couponry_retries import AsyncRetrying
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"]) if "WEBHOOK_SECRET" in os.environ else None


@asynccontextmanager
async def lifespan(app: FastAPI):
    headers = {"authorization": f"Bearer {os.environ['COUPONRY_TOKEN']}"}
    async with httpx.AsyncClient(
        base_url=os.environ["COUPONRY"], headers=headers, transport=AsyncRetrying()
    ) as client:
        app.state.couponry = client
        app.state.orders = {}
        app.state.seen = set()
        yield


# What the buyer reads. couponry writes the titles of its problems in Korean or in English.
LANGUAGE = ContextVar("language", default="*")


async def language(accept_language: Annotated[str, Header()] = "*"):
    LANGUAGE.set(accept_language)


app = FastAPI(title="shop", lifespan=lifespan, dependencies=[Depends(language)])


class Refused(Exception):
    """What the customer reads where the shop or couponry refuses."""

    def __init__(self, status: int, code: str, say: str):
        self.status, self.body = status, {"code": code, "say": say}


@app.exception_handler(Refused)
async def refused(_: Request, error: Refused):
    return JSONResponse(error.body, error.status)


class CheckOut(BaseModel):
    user: str
    code: str


async def couponry(method: str, path: str, **arguments) -> dict:
    """A call of couponry. Its problem becomes ours, in the words for people and in the buyer's language."""
    headers = {"accept-language": LANGUAGE.get()}
    answer = await app.state.couponry.request(method, path, headers=headers, **arguments)
    body = answer.json()
    if answer.status_code >= 400:
        raise Refused(answer.status_code, body["code"], body["title"])
    return body


def order_of(order: str) -> CheckOut:
    if order not in app.state.orders:
        raise Refused(404, "NO_ORDER", "Check out first")
    return app.state.orders[order]


@app.post("/orders/{order}/check-out")
async def check_out(order: str, body: CheckOut):
    """Reserves the coupon until the payment, so that nobody can use it meanwhile."""
    held = await couponry(
        "POST", f"/v1/coupons/{body.code}/hold", json={"user_id": body.user, "order_ref": order, "seconds": 900}
    )
    app.state.orders[order] = body
    return {"held_until": held["until"]}


@app.post("/orders/{order}/pay")
async def pay(order: str):
    """Redeems when the payment has succeeded. The same order may call it again: it is one redemption."""
    wanted = order_of(order)
    redeemed = await couponry(
        "POST", f"/v1/coupons/{wanted.code}/redeem", json={"user_id": wanted.user, "order_ref": order}
    )
    return {"redeemed_at": redeemed["redeemed_at"]}


@app.post("/orders/{order}/give-up")
async def give_up(order: str):
    """The customer went away: the coupon is free at once, and not only when the hold ends."""
    wanted = order_of(order)
    await couponry("POST", f"/v1/coupons/{wanted.code}/release", json={"order_ref": order})
    del app.state.orders[order]
    return {}


@app.post("/orders/{order}/refund")
async def refund(order: str):
    """The customer gets the coupon back. A new purchase with it needs another order."""
    wanted = order_of(order)
    cancelled = await couponry(
        "POST", f"/v1/coupons/{wanted.code}/cancel-redemption", json={"order_ref": order, "reason": "refund"}
    )
    return {"state": cancelled["coupon"]["state"]}


@app.get("/wallet/{user}")
async def wallet(user: str):
    """What a customer has, with the names of the campaigns."""
    params = {"user_id": user, "state": "issued", "expired": "false", "order": "soonest", "expand": "campaign"}
    page = await couponry("GET", "/v1/coupons", params=params)
    return [
        {"code": it["code"], "name": it["campaign"]["name"], "until": it["expires_on"]} for it in page["data"]
    ]


@app.post("/couponry-events")
async def events(request: Request):
    """What couponry posts. An event may come twice, so its id is kept."""
    if WEBHOOK is None:
        raise Refused(404, "NO_WEBHOOK", "There is no secret")
    try:
        event = WEBHOOK.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise Refused(401, "NOT_SIGNED", "The signature is wrong") from error
    app.state.seen.add(request.headers["webhook-id"])
    return {"type": event["type"], "seen": len(app.state.seen)}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "3000")), log_level="warning")
