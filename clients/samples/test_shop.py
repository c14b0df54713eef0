"""Tries a sample shop with a real couponry that is killed again and again while customers pay.

    COUPONRY_PROGRAM=target/debug/couponry PYTHONPATH=clients/python python test_shop.py FOLDER COMMAND...

The command starts the shop in that folder, on the port in PORT. Each customer pays an order with two coupons, and each coupon has one redemption in the end, whatever was killed when.
"""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

PROGRAM = os.environ["COUPONRY_PROGRAM"]
FOLDER, COMMAND = sys.argv[1], sys.argv[2:]
ORDERS = int(os.environ.get("ORDERS", "200"))
TRIES = 5
AT_ONCE = 6
KILLED_EVERY = 0.4
LONGEST = 120.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Couponry:
    """`couponry serve` on one address, which it has again after each kill."""

    def __init__(self, folder: str):
        self.folder, self.port, self.kills = folder, free_port(), 0
        self.log = open(Path(folder) / "serve.log", "ab")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--data", f"{self.folder}/data", "--listen", f"127.0.0.1:{self.port}", "--webhook-allow-private"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.kills += 1
        self.start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def token(self, role: str) -> str:
        run = [PROGRAM, "token", "--data", f"{self.folder}/data", "--role", role]
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()


async def answers(client: httpx.AsyncClient, path: str):
    for _ in range(600):
        try:
            if (await client.get(path)).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"no answer from {client.base_url}{path}")


async def must(client: httpx.AsyncClient, method: str, path: str, *want: int, **arguments) -> dict:
    # A shop gives up after half a minute, and its customer tries it again.
    for nth in range(TRIES):
        try:
            answer = await client.request(method, path, **arguments)
        except httpx.TransportError:
            if nth == TRIES - 1:
                raise
            continue
        if answer.status_code < 500:
            break
    assert answer.status_code in want, f"{method} {path}: {answer.status_code} {answer.text}, want {want}"
    return answer.json()


async def one_customer(nth: int, admin, shop, gate: asyncio.Semaphore) -> tuple[str, str, list[str]]:
    async with gate:
        user, order = f"고객-{nth}", f"주문-{nth}"
        issues = [f"/v1/campaigns/{campaign}/issue" for campaign in ("spring", "delivery")]
        codes = [(await must(admin, "POST", issue, 201, 200, json={"user_id": user}))["code"] for issue in issues]
        held = await must(shop, "POST", f"/orders/{order}/check-out", 200, json=check_out(user, codes))
        # 10 % of ₩42,000, and ₩3,000.
        assert held == {"discount": 7_200, "to_pay": 34_800}, held
        paid = await must(shop, "POST", f"/orders/{order}/pay", 200)
        again = await must(shop, "POST", f"/orders/{order}/pay", 200)
        assert paid == again and paid["discount"] == 7_200, (paid, again)
        return user, order, codes


def check_out(user: str, codes: list[str]) -> dict:
    return {"user": user, "codes": codes, "amount": 42_000}


async def all_of_it(folder: str):
    couponry = Couponry(folder)
    base = f"http://127.0.0.1:{couponry.port}"
    # `serve` makes the keys, with which tokens are signed.
    async with httpx.AsyncClient(base_url=base) as plain:
        await answers(plain, "/readyz")
    from couponry_retries import AsyncRetrying

    headers = {"authorization": f"Bearer {couponry.token('admin')}"}
    admin = httpx.AsyncClient(base_url=base, headers=headers, transport=AsyncRetrying(give_up_after=LONGEST))
    shop_port = free_port()
    percent = {"kind": "percent", "percent": 10, "min_order": 30_000}
    for campaign, benefit in [("spring", percent), ("delivery", {"kind": "amount", "amount": 3_000})]:
        terms = {"stock": 1_000, "expires_on": "2031-12-31", "cancel_days": 30, "currency": "KRW"}
        body = {"campaign_id": campaign, "benefit": benefit, **terms}
        await must(admin, "POST", "/v1/campaigns", 201, json=body)
    webhook = {"webhook_id": "shop", "url": f"http://127.0.0.1:{shop_port}/couponry-events"}
    secret = (await must(admin, "POST", "/v1/webhooks", 201, json=webhook))["secret"]
    told = {"COUPONRY": base, "COUPONRY_TOKEN": couponry.token("shop"), "WEBHOOK_SECRET": secret, "PORT": str(shop_port)}
    shop_process = subprocess.Popen(COMMAND, cwd=FOLDER, env={**os.environ, **told})
    shop = httpx.AsyncClient(base_url=f"http://127.0.0.1:{shop_port}", timeout=LONGEST)
    try:
        await answers(shop, "/wallet/nobody")
        gate = asyncio.Semaphore(AT_ONCE)
        customers = asyncio.gather(*(one_customer(nth, admin, shop, gate) for nth in range(ORDERS)))
        while not customers.done():
            await asyncio.wait([customers], timeout=KILLED_EVERY)
            if not customers.done():
                # Not before it is up again, however busy this machine is.
                await answers(admin, "/readyz")
                await asyncio.to_thread(couponry.kill)
        bought = await customers
        assert couponry.kills > ORDERS // 40, f"only {couponry.kills} kills"
        for user, order, codes in bought:
            for code in codes:
                coupon = await must(admin, "GET", f"/v1/coupons/{code}", 200)
                kinds = [event["kind"] for event in coupon["events"]]
                found = (coupon["holder"], coupon["order_ref"], kinds.count("redeemed"))
                assert found == (user, order, 1), (found, kinds)
        # The other ways of an order.
        user, order, codes = bought[0]
        refund = await must(shop, "POST", f"/orders/{order}/refund", 200)
        assert refund == {"states": ["cancelled", "cancelled"]}, refund
        worths = {
            "en": ["10 % off orders of ₩30,000 or more", "₩3,000 off"],
            "ko": ["₩30,000 이상 주문하면 10% 할인", "₩3,000 할인"],
        }
        for lang, want in worths.items():
            wallet = await must(shop, "GET", f"/wallet/{user}", 200, headers={"accept-language": lang})
            found = {it["code"]: it["worth"] for it in wallet}
            assert found == dict(zip(codes, want)), wallet
        refused = await must(shop, "POST", f"/orders/{order}/pay", 409)
        assert refused["code"] == "REDEMPTION_CANCELLED", refused
        assert refused["say"] == "This order's redemption was cancelled", refused
        await must(shop, "POST", "/orders/second/check-out", 200, json=check_out(user, codes))
        await must(shop, "POST", "/orders/second/give-up", 200)
        await must(shop, "POST", "/orders/third/check-out", 200, json=check_out(user, codes))
        await must(shop, "POST", "/orders/third/pay", 200)
        # A buyer in Seoul reads why it does not work a second time.
        seoul = {"accept-language": "ko-KR,ko;q=0.9,en-US;q=0.8"}
        refused = await must(
            shop, "POST", "/orders/fourth/check-out", 409, json=check_out(user, codes), headers=seoul
        )
        assert refused == {"code": "ALREADY_REDEEMED", "say": "이미 사용된 쿠폰입니다."}, refused
        await must(shop, "POST", "/couponry-events", 401, json={"type": secrets.token_hex(4)})
        # Events of the redemptions arrive, signed.
        for _ in range(600):
            deliveries = await must(admin, "GET", "/v1/webhooks/shop/deliveries?limit=10", 200)
            if any(it["state"] == "delivered" for it in deliveries["data"]):
                break
            await asyncio.sleep(0.1)
        else:
            raise TimeoutError("no delivery arrived")
    finally:
        shop_process.terminate()
        shop_process.wait(30)
        await admin.aclose()
        await shop.aclose()
        ended = couponry.stop()
    assert ended == 0, f"serve ended with {ended}"
    verified = subprocess.run([PROGRAM, "verify", "--data", f"{folder}/data"], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(f"{ORDERS} orders paid once each, with {couponry.kills} kills of the server")


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(all_of_it(folder))
