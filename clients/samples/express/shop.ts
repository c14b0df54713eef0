/**
 * A shop with Express that takes coupons of couponry: check-out with a hold of all coupons, payment, refund, wallet, webhook.
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
  codes: string[];
  /** In won, without any coupon. */
  amount: number;
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
  if (!answer.ok) {
    // In an order, each coupon that does not work has a reason of its own.
    const why = said.coupons?.[0] ?? { problem: said.code, title: said.title };
    throw new Refused(answer.status, why.problem, why.title);
  }
  return said;
};

const orderOf = (order: string): CheckOut => {
  const found = orders.get(order);
  if (!found) throw new Refused(404, "NO_ORDER", "Check out first");
  return found;
};

const asSent = ({ user, codes, amount }: CheckOut) => ({ user_id: user, coupons: codes, order_amount: amount });

/** The path of a call about an order. */
const of = (order: string, call: string) => `/v1/orders/${encodeURIComponent(order)}/${call}`;

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

// Reserves the coupons until the payment, all or none, so that nobody can use them meanwhile.
app.post("/orders/:order/check-out", async (request, response) => {
  const wanted = request.body as CheckOut;
  const held = await couponry(request, "POST", of(request.params.order, "hold"), { ...asSent(wanted), seconds: 900 });
  orders.set(request.params.order, wanted);
  response.json({ discount: held.discount, to_pay: wanted.amount - held.discount });
});

// Redeems when the payment has succeeded. The same order may call it again: each coupon has one redemption.
app.post("/orders/:order/pay", async (request, response) => {
  const wanted = orderOf(request.params.order);
  const redeemed = await couponry(request, "POST", of(request.params.order, "redeem"), asSent(wanted));
  response.json({ discount: redeemed.discount, coupons: redeemed.coupons });
});

// The customer went away: the coupons are free at once, and not only when the holds end.
app.post("/orders/:order/give-up", async (request, response) => {
  for (const code of orderOf(request.params.order).codes) {
    const path = `/v1/coupons/${encodeURIComponent(code)}/release`;
    await couponry(request, "POST", path, { order_ref: request.params.order });
  }
  orders.delete(request.params.order);
  response.json({});
});

// The customer gets the coupons back. A new purchase with them needs another order.
app.post("/orders/:order/refund", async (request, response) => {
  const cancelled = await couponry(request, "POST", of(request.params.order, "cancel"), { reason: "refund" });
  response.json({ states: cancelled.coupons.map((it: { state: string }) => it.state) });
});

// What a customer has, and what it is worth in their language.
app.get("/wallet/:user", async (request, response) => {
  const lang = request.acceptsLanguages("ko", "en") || "en";
  const wanted = { user_id: request.params.user, state: "issued", expired: "false", order: "soonest", expand: "campaign" };
  const page = await couponry(request, "GET", `/v1/coupons?${new URLSearchParams(wanted)}`);
  response.json(
    page.data.map((it: { code: string; campaign: { worth: Record<string, string> }; expires_on: string }) => ({
      code: it.code,
      worth: it.campaign.worth[lang],
      until: it.expires_on,
    })),
  );
});

app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
  if (!(error instanceof Refused)) return next(error);
  response.status(error.status).json({ code: error.code, say: error.say });
});

app.listen(Number(PORT ?? 3000), "127.0.0.1");
