"""A shop with FastAPI that takes coupons of couponry: check-out with a hold of all coupons, payment, refund, wallet, webhook.

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
    codes: list[str]
    # In won, without any coupon.
    amount: int


async def couponry(method: str, path: str, **arguments) -> dict:
    """A call of couponry. Its problem becomes ours, in the words for people and in the buyer's language."""
    headers = {"accept-language": LANGUAGE.get()}
    answer = await app.state.couponry.request(method, path, headers=headers, **arguments)
    body = answer.json()
    if answer.status_code >= 400:
        # In an order, each coupon that does not work has a reason of its own.
        why = (body["coupons"] or [{"problem": body["code"], "title": body["title"]}])[0]
        raise Refused(answer.status_code, why["problem"], why["title"])
    return body


def as_sent(wanted: CheckOut) -> dict:
    return {"user_id": wanted.user, "coupons": wanted.codes, "order_amount": wanted.amount}


def order_of(order: str) -> CheckOut:
    if order not in app.state.orders:
        raise Refused(404, "NO_ORDER", "Check out first")
    return app.state.orders[order]


@app.post("/orders/{order}/check-out")
async def check_out(order: str, body: CheckOut):
    """Reserves the coupons until the payment, all or none, so that nobody can use them meanwhile."""
    held = await couponry("POST", f"/v1/orders/{order}/hold", json={**as_sent(body), "seconds": 900})
    app.state.orders[order] = body
    return {"discount": held["discount"], "to_pay": body.amount - held["discount"]}


@app.post("/orders/{order}/pay")
async def pay(order: str):
    """Redeems when the payment has succeeded. The same order may call it again: each coupon has one redemption."""
    redeemed = await couponry("POST", f"/v1/orders/{order}/redeem", json=as_sent(order_of(order)))
    return {"discount": redeemed["discount"], "coupons": redeemed["coupons"]}


@app.post("/orders/{order}/give-up")
async def give_up(order: str):
    """The customer went away: the coupons are free at once, and not only when the holds end."""
    for code in order_of(order).codes:
        await couponry("POST", f"/v1/coupons/{code}/release", json={"order_ref": order})
    del app.state.orders[order]
    return {}


@app.post("/orders/{order}/refund")
async def refund(order: str):
    """The customer gets the coupons back. A new purchase with them needs another order."""
    cancelled = await couponry("POST", f"/v1/orders/{order}/cancel", json={"reason": "refund"})
    return {"states": [it["state"] for it in cancelled["coupons"]]}


@app.get("/wallet/{user}")
async def wallet(user: str):
    """What a customer has, and what it is worth in their language."""
    lang = "ko" if LANGUAGE.get().startswith("ko") else "en"
    params = {"user_id": user, "state": "issued", "expired": "false", "order": "soonest", "expand": "campaign"}
    page = await couponry("GET", "/v1/coupons", params=params)
    return [
        {"code": it["code"], "worth": it["campaign"]["worth"][lang], "until": it["expires_on"]} for it in page["data"]
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
