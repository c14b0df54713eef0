/**
 * What a client of couponry should do when an answer is a problem, or does not come. It is a `fetch`, so it works below
 * any client that takes one, such as openapi-fetch with the types that openapi-typescript makes of /openapi.json:
 *
 *     const client = createClient<paths>({ baseUrl, fetch: retrying() });
 *
 * The problem document of couponry says in `retry` what to do (docs/problems):
 *
 * - `never`: the answer is returned as it is.
 * - `later`: nothing was changed. The same request is sent again after `Retry-After`.
 * - `same`, or no answer: the write may have happened. Exactly the same request is sent again, and its answer says what
 *   happened. So a request is repeated only if a repeat is harmless: see `isRepeatable`.
 *
 * All tries of a request together take at most `giveUpAfter` milliseconds. Then the last answer is returned, or the last
 * error is thrown: with `same` or an error nobody knows what happened, so send the same request, with the same names,
 * again later.
 */

/** Milliseconds for all tries of one request: a person waits that long for a payment. */
const GIVE_UP_AFTER = 30_000;
const PAUSE_FIRST = 200;
const PAUSE_MAX = 5_000;
/** For one try, in milliseconds: couponry gives up a write after ten seconds, and then says so. */
const TRY_TIMEOUT = 12_000;

/** Whether a request that may have been done already can be sent again. */
export const isRepeatable = (method: string, path: string, headers: Headers, body: string | undefined): boolean => {
  if (["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].includes(method)) return true;
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(body || "{}");
  } catch {
    return false;
  }
  const has = (name: string) => fields[name] !== undefined && fields[name] !== null;
  // Without a name its repeat could revoke the coupon from somebody who got it in between.
  if (path.endsWith("/revoke")) return has("revoke_ref") || has("version") || headers.has("idempotency-key");
  if (path.endsWith("/batches")) return has("batch_id");
  if (path.endsWith("/campaigns")) return has("campaign_id");
  // A change with If-Match that was made has another tag, so its repeat would say that somebody else was faster.
  return !headers.has("if-match");
};

/** What the answer says about a repeat. */
const retryOf = async (answer: Response): Promise<string> => {
  try {
    const said = ((await answer.clone().json()) as { retry?: unknown }).retry;
    if (typeof said === "string") return said;
  } catch {
    // Of a proxy, which does not say whether couponry got it.
  }
  return [408, 429, 500, 502, 503, 504].includes(answer.status) ? "same" : "never";
};

/** A `fetch` that sends requests again as the answer says. */
export const retrying = (options: { fetch?: typeof fetch; giveUpAfter?: number } = {}): typeof fetch => {
  const send = options.fetch ?? fetch;
  return async (input, init) => {
    const request = new Request(input, init);
    const isJson = (request.headers.get("content-type") ?? "").startsWith("application/json");
    // An import: send the same file again yourself, it goes on where it stopped.
    if (request.body !== null && !isJson) return send(request);
    const body = request.body === null ? undefined : await request.text();
    const repeatable = isRepeatable(request.method, new URL(request.url).pathname, request.headers, body);
    const ends = Date.now() + (options.giveUpAfter ?? GIVE_UP_AFTER);
    let pause = PAUSE_FIRST;
    for (;;) {
      let wait: number;
      let last: () => Response;
      try {
        const signal = AbortSignal.any([request.signal, AbortSignal.timeout(TRY_TIMEOUT)]);
        const answer = await send(new Request(request.url, { method: request.method, headers: request.headers, body, signal }));
        if (answer.status < 400) return answer;
        const retry = await retryOf(answer);
        // HELD or PAUSED would be over too late for a person who waits.
        const again = retry === "later" ? [429, 503].includes(answer.status) : retry === "same" && repeatable;
        if (!again) return answer;
        wait = Number(answer.headers.get("retry-after") ?? 0) * 1_000 || 0;
        last = () => answer;
      } catch (error) {
        if (request.signal.aborted || !repeatable) throw error;
        wait = 0;
        last = () => {
          throw error;
        };
      }
      // Not all clients come back at once.
      wait = Math.max(wait, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, PAUSE_MAX);
      if (Date.now() + wait >= ends) return last();
      await new Promise((done) => setTimeout(done, wait));
    }
  };
};
