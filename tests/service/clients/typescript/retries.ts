// Which answers `retrying` sends a request again for, with answers that are made up.

import { deepStrictEqual } from "node:assert/strict";

import { retrying } from "./retrying.js";

const problem = (status: number, retry: string, wait?: string): Response =>
  new Response(JSON.stringify({ retry }), { status, headers: wait === undefined ? {} : { "retry-after": wait } });
const lost = (): Response => {
  throw new TypeError("fetch failed");
};

const redeem = ["POST", "/v1/coupons/A/redeem", { order_ref: "1" }] as const;
const revoke = ["POST", "/v1/coupons/A/revoke", { user_id: "ann" }] as const;
const named = ["POST", "/v1/coupons/A/revoke", { user_id: "ann", revoke_ref: "r" }] as const;
const good = () => new Response("{}", { status: 201 });

/** Name, request, the answers, how often it is sent, and how it ends: a status, or nothing for an error. */
const cases: [string, readonly [string, string, object], (() => Response)[], number, number | undefined][] = [
  ["good", redeem, [good], 1, 201],
  ["refused", redeem, [() => problem(409, "never")], 1, 409],
  ["held for another order", redeem, [() => problem(409, "later")], 1, 409],
  ["overloaded", redeem, [() => problem(503, "later"), good], 2, 201],
  ["unknown", redeem, [() => problem(503, "same"), good], 2, 201],
  ["lost", redeem, [lost, lost, good], 3, 201],
  ["of a proxy", redeem, [() => new Response("Bad gateway", { status: 502 }), good], 2, 201],
  ["lost, and no name", revoke, [lost, good], 1, undefined],
  ["unknown, and no name", revoke, [() => problem(503, "same"), good], 1, 503],
  ["lost, with a name", named, [lost, good], 2, 201],
  ["a wait that is too long", redeem, [() => problem(429, "later", "600"), good], 1, 429],
  ["lost for ever", redeem, Array(100).fill(lost), 4, undefined],
];

for (const [name, [method, path, body], answers, sent, end] of cases) {
  let nth = 0;
  const bodies: string[] = [];
  const answer: typeof fetch = async (input) => {
    bodies.push(await (input as Request).text());
    return answers[nth++]!();
  };
  const send = retrying({ fetch: answer, giveUpAfter: name === "lost for ever" ? 2_000 : 10_000 });
  const headers = { "content-type": "application/json" };
  const text = JSON.stringify(body);
  const status = await send(`http://127.0.0.1${path}`, { method, headers, body: text }).then(
    (it) => it.status,
    () => undefined,
  );
  deepStrictEqual(status, end, name);
  // The pauses are drawn: two seconds are enough for three to five tries.
  if (name === "lost for ever") deepStrictEqual(nth >= 3 && nth <= 7, true, `${name}: ${nth}`);
  else deepStrictEqual(nth, sent, name);
  deepStrictEqual(new Set(bodies), new Set([text]), `${name}: the same bytes`);
}
