"""The five minutes of the README, through `couponry_client` alone, the package that was generated
from the server's /openapi.json. COUPONRY and TOKEN are the README's."""

import datetime
import importlib
import os
import pkgutil
import typing

import couponry_client
from couponry_client.api.campaigns import create_campaign, issue
from couponry_client.api.coupons import list_coupons, read_coupon, redeem
from couponry_retries import Retrying

CLIENT = couponry_client.AuthenticatedClient(
    base_url=os.environ["COUPONRY"],
    token=os.environ["TOKEN"],
    raise_on_unexpected_status=True,
    httpx_args={"transport": Retrying()},
)


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


def call(what, status, operation, *path, **arguments):
    """Call an operation, check the status, and return the answer as the client reads it."""
    answer = operation.sync_detailed(*path, client=CLIENT, **arguments)
    check(f"{what}: status of {answer.content!r}", answer.status_code, status)
    return answer.parsed


def body(operation, **fields):
    """Make the body that the operation takes. Its signature knows the type."""
    return typing.get_type_hints(operation.sync_detailed)["body"](**fields)


def import_every_module():
    for module in pkgutil.walk_packages(couponry_client.__path__, "couponry_client."):
        importlib.import_module(module.name)


def five_minutes():
    last_day = datetime.date(2030, 12, 31)
    expiry = datetime.datetime(2030, 12, 31, 15, tzinfo=datetime.timezone.utc)

    wanted = body(
        create_campaign,
        campaign_id="spring",
        stock=10_000_000_000,
        expires_on=last_day,
        time_zone="Asia/Seoul",
    )
    campaign = call("create", 201, create_campaign, body=wanted)
    check("create: id", campaign.campaign_id, "spring")
    check("create: stock", campaign.stock, 10_000_000_000)
    check("create: expiry", (campaign.expires_on, campaign.expires_at), (last_day, expiry))

    coupon = call("issue", 201, issue, "spring", body=body(issue, user_id="ann"))
    code = coupon.code
    check("issue: holder", (coupon.holder, coupon.state), ("ann", "issued"))
    check("issue: expiry", (coupon.expires_on, coupon.expires_at), (last_day, expiry))

    coupon = call("read", 200, read_coupon, code)
    check("read: code", coupon.code, code)
    check("read: holder", (coupon.holder, coupon.state), ("ann", "issued"))
    check("read: order", (coupon.order_ref, coupon.redeemed_at), (None, None))
    check("read: events", [event.kind for event in coupon.events], ["issued"])

    order = body(redeem, user_id="ann", order_ref="991")
    redemption = call("redeem", 201, redeem, code, body=order)
    check("redeem: code", redemption.code, code)
    check("redeem: order", (redemption.user_id, redemption.order_ref), ("ann", "991"))
    check("redeem: instant", type(redemption.redeemed_at), datetime.datetime)
    check("redeem: not cancelled", redemption.cancelled_at, None)

    replay = call("redeem again", 200, redeem, code, body=order)
    check("redeem again: the same", replay, redemption)

    other = body(redeem, user_id="ann", order_ref="992")
    problem = call("another order", 409, redeem, code, body=other)
    check("another order: code", problem.code, "ALREADY_REDEEMED")
    check("another order: retry", (problem.status, problem.retry), (409, "never"))
    check("another order: coupon", (problem.coupon.code, problem.coupon.order_ref), (code, "991"))

    page = call("list", 200, list_coupons, user_id="ann")
    check("list: codes", [coupon.code for coupon in page.data], [code])
    check("list: state", (page.data[0].state, page.data[0].order_ref), ("redeemed", "991"))
    check("list: end", page.next_cursor, None)


import_every_module()
five_minutes()
