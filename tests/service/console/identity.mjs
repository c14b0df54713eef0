// Signs in to the console at a real identity provider (the package oidc-provider): people with a role, with another
// role later, and without one. The provider is another site than the console, as it is at a company.
//
// Prints the provider's address, and reads the console's from standard input.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";
import { chromium } from "playwright-core";

const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://localhost:${server.address().port}`;
console.log(issuer);
const [base] = await once(createInterface({ input: process.stdin }), "line");

const roles = { "ida@company.example": ["couponry-marketer", "something-else"], "nil@company.example": ["admin"] };
const provider = new Provider(issuer, {
  clients: [{
    client_id: "console & more",
    client_secret: "a secret: +%&",
    redirect_uris: [`${base}/console/sign-in/back`],
    response_types: ["code"],
    grant_types: ["authorization_code"],
  }],
  claims: { openid: ["sub"], profile: ["preferred_username", "roles"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ["of this test"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, roles: roles[id] }),
  }),
});
server.on("request", provider.callback());

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
const problems = [];

/** Signs in as somebody who is not signed in at the provider; gives the page on which that ends. */
const signIn = async (login, path = "/console/campaigns") => {
  const page = await (await browser.newContext({ locale: "en-GB" })).newPage();
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  // The provider's own pages want a font from elsewhere.
  await page.route((url) => ![base, issuer].includes(url.origin), (route) => {
    if (!route.request().frame().url().startsWith(issuer)) problems.push(route.request().url());
    return route.abort();
  });
  await page.goto(base + path);
  assert.match(page.url(), /\/console\/sign-in\?next=/);
  await page.getByText("Sign in with your company account").click();
  await page.locator("input[name=login]").fill(login);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.locator("form[action$='/confirm'], form button[type=submit]").last().click();
  return page;
};

const ida = await signIn("ida@company.example");
await ida.waitForURL(`${base}/console/campaigns`);
assert.match(await ida.locator(".person summary").innerText(), /ida@company\.example\s+Marketer/);
console.log("a marketer signs in and is where she wanted to be");

// She has another role by the next time.
roles["ida@company.example"] = "couponry-operator";
await ida.locator(".person summary").click();
await ida.getByRole("button", { name: "Sign out", exact: true }).click();
await ida.getByText("Sign in with your company account").click();
await ida.waitForURL(`${base}/console`);
assert.match(await ida.locator(".person summary").innerText(), /Operator/);
console.log("her role is the one that the provider says now, and it asks for no password again");

const nil = await signIn("nil@company.example");
await nil.getByText("has no role for couponry").waitFor();
assert.equal((await nil.goto(`${base}/console/campaigns`)).url().includes("/console/sign-in"), true);
console.log("somebody without a role is told so, and is not signed in");

const late = await signIn("ida@company.example", "/console/store");
await late.waitForURL(`${base}/console/store`);
await late.goBack();
await late.goto(`${base}/console/sign-in/back?code=made-up&state=made-up`);
await late.getByText("begun in another browser").waitFor();
console.log("an answer that nobody asked for signs nobody in");

assert.deepEqual(problems, []);
await browser.close();
server.close();
server.closeAllConnections();
process.exit(0);
