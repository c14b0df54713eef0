/**
 * A shop with Express that takes coupons of couponry: check-out with a hold, payment, refund, wallet, webhook.
 *
 *     COUPONRY=http://127.0.0.1:8080 COUPONRY_TOKEN=... WEBHOOK_SECRET=whsec_... PORT=3000 node built/shop.js
 *
 * The token is one of a shop: couponry token --role shop. `retrying.ts` of clients/typescript has to lie beside this file.
 * The orders are in memory; a real shop has a database.
 */

import express, { type NextFunction, type Request, type Response } from "express";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { retrying } from "./retrying.js";

const { COUPONRY, COUPONRY_TOKEN, WEBHOOK_SECRET, PORT } = process.env;
const webhook = WEBHOOK_SECRET ? new Webhook(WEBHOOK_SECRET) : undefined;
const send = retrying();

interface CheckOut {
  user: string;
  code: string;
}
const orders = new Map<string, CheckOut>();
const seen = new Set<string>();

/** What the customer reads where the shop or couponry refuses. */
class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly say: string,
  ) {
    super(code);
  }
}

/** A call of couponry for a buyer. Its problem becomes ours, in the words for people and in the buyer's language. */
const couponry = async (buyer: Pick<Request, "headers">, method: string, path: string, body?: object) => {
  const headers = {
    authorization: `Bearer ${COUPONRY_TOKEN}`,
    "content-type": "application/json",
    "accept-language": buyer.headers["accept-language"] ?? "*",
  };
  const answer = await send(`${COUPONRY}${path}`, { method, headers, body: body && JSON.stringify(body) });
  const said = (await answer.json()) as any;
  if (!answer.ok) throw new Refused(answer.status, said.code, said.title);
  return said;
};

const orderOf = (order: string): CheckOut => {
  const found = orders.get(order);
  if (!found) throw new Refused(404, "NO_ORDER", "Check out first");
  return found;
};

/** The path of a call about one coupon. */
const of = (code: string, call: string) => `/v1/coupons/${encodeURIComponent(code)}/${call}`;

const app = express();

// What couponry posts. An event may come twice, so its id is kept. The signature is over the bytes of the body.
app.post("/couponry-events", express.raw({ type: "*/*" }), (request, response) => {
  if (!webhook) throw new Refused(404, "NO_WEBHOOK", "There is no secret");
  try {
    webhook.verify(request.body, request.headers as Record<string, string>);
  } catch (error) {
    if (error instanceof WebhookVerificationError) throw new Refused(401, "NOT_SIGNED", "The signature is wrong");
    throw error;
  }
  seen.add(String(request.headers["webhook-id"]));
  response.json({ seen: seen.size });
});

app.use(express.json());

// Reserves the coupon until the payment, so that nobody can use it meanwhile.
app.post("/orders/:order/check-out", async (request, response) => {
  const { user, code } = request.body as CheckOut;
  const held = await couponry(request, "POST", of(code, "hold"), { user_id: user, order_ref: request.params.order, seconds: 900 });
  orders.set(request.params.order, { user, code });
  response.json({ held_until: held.until });
});

// Redeems when the payment has succeeded. The same order may call it again: it is one redemption.
app.post("/orders/:order/pay", async (request, response) => {
  const { user, code } = orderOf(request.params.order);
  const redeemed = await couponry(request, "POST", of(code, "redeem"), { user_id: user, order_ref: request.params.order });
  response.json({ redeemed_at: redeemed.redeemed_at });
});

// The customer went away: the coupon is free at once, and not only when the hold ends.
app.post("/orders/:order/give-up", async (request, response) => {
  const { code } = orderOf(request.params.order);
  await couponry(request, "POST", of(code, "release"), { order_ref: request.params.order });
  orders.delete(request.params.order);
  response.json({});
});

// The customer gets the coupon back. A new purchase with it needs another order.
app.post("/orders/:order/refund", async (request, response) => {
  const { code } = orderOf(request.params.order);
  const cancelled = await couponry(request, "POST", of(code, "cancel-redemption"), { order_ref: request.params.order, reason: "refund" });
  response.json({ state: cancelled.coupon.state });
});

// What a customer has, with the names of the campaigns.
app.get("/wallet/:user", async (request, response) => {
  const wanted = { user_id: request.params.user, state: "issued", expired: "false", order: "soonest", expand: "campaign" };
  const page = await couponry(request, "GET", `/v1/coupons?${new URLSearchParams(wanted)}`);
  response.json(
    page.data.map((it: { code: string; campaign: { name: string }; expires_on: string }) => ({
      code: it.code,
      name: it.campaign.name,
      until: it.expires_on,
    })),
  );
});

app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
  if (!(error instanceof Refused)) return next(error);
  response.status(error.status).json({ code: error.code, say: error.say });
});

app.listen(Number(PORT ?? 3000), "127.0.0.1");
