// The five minutes of the README, through openapi-fetch and the types of `couponry.ts` alone, which
// were generated from the server's /openapi.json. COUPONRY and TOKEN are the README's.

import { deepStrictEqual, ok } from "node:assert/strict";

import createClient from "openapi-fetch";

import type { paths } from "./couponry.js";
import { retrying } from "./retrying.js";

const client = createClient<paths>({
  baseUrl: process.env["COUPONRY"] ?? "",
  headers: { Authorization: `Bearer ${process.env["TOKEN"]}` },
  fetch: retrying(),
});

/** Compares two values. `wanted` has to be of the type that the description gives to `found`. */
function check<T>(what: string, found: T, wanted: NoInfer<T>): void {
  deepStrictEqual(found, wanted, `${what}: found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
}

/** Checks the status, and returns the body of an answer that is 2xx. */
function good<T>(what: string, answer: { data?: T; error?: unknown; response: Response }, status: number): T {
  check(`${what}: status of ${JSON.stringify(answer.error ?? answer.data)}`, answer.response.status, status);
  ok(answer.data !== undefined, `${what}: no body`);
  return answer.data;
}

const campaign = good(
  "create",
  await client.POST("/v1/campaigns", {
    body: { campaign_id: "spring", stock: 10_000_000_000, expires_on: "2030-12-31", time_zone: "Asia/Seoul" },
  }),
  201,
);
check("create: id", campaign.campaign_id, "spring");
check("create: stock", campaign.stock, 10_000_000_000);
check("create: last day", campaign.expires_on, "2030-12-31");
check("create: expiry", campaign.expires_at, "2030-12-31T15:00:00.000Z");

const issued = good(
  "issue",
  await client.POST("/v1/campaigns/{campaign_id}/issue", {
    params: { path: { campaign_id: "spring" } },
    body: { user_id: "ann" },
  }),
  201,
);
const code = issued.code;
check("issue: holder", issued.holder, "ann");
check("issue: state", issued.state, "issued");
check("issue: expiry", issued.expires_at, "2030-12-31T15:00:00.000Z");

const read = good("read", await client.GET("/v1/coupons/{code}", { params: { path: { code } } }), 200);
check("read: code", read.code, code);
check("read: holder", read.holder, "ann");
check("read: state", read.state, "issued");
check("read: order", read.order_ref, null);
check("read: events", read.events.map((event) => event.kind), ["issued"]);

const redeem = (order_ref: string) =>
  client.POST("/v1/coupons/{code}/redeem", {
    params: { path: { code } },
    body: { user_id: "ann", order_ref },
  });
const redemption = good("redeem", await redeem("991"), 201);
check("redeem: code", redemption.code, code);
check("redeem: user", redemption.user_id, "ann");
check("redeem: order", redemption.order_ref, "991");
check("redeem: not cancelled", redemption.cancelled_at, null);

check("redeem again: the same", good("redeem again", await redeem("991"), 200), redemption);

const { error: problem, response } = await redeem("992");
check("another order: status", response.status, 409);
ok(problem !== undefined, "another order: no problem");
check("another order: code", problem.code, "ALREADY_REDEEMED");
check("another order: retry", problem.retry, "never");
check("another order: coupon", problem.coupon?.code, code);

const page = good("list", await client.GET("/v1/coupons", { params: { query: { user_id: "ann" } } }), 200);
check("list: codes", page.data.map((coupon) => coupon.code), [code]);
check("list: states", page.data.map((coupon) => coupon.state), ["redeemed"]);
check("list: end", page.next_cursor, null);
