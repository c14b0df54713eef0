// Every action of every role, in both languages. Whoever may do it finds it on its page, and does it; for everybody
// else the page does not offer it, and its address answers 403. Without scripts: all of it has to work so.

import assert from "node:assert/strict";

const ROLES = ["viewer", "marketer", "support", "operator", "admin"];
const PASSWORD = "correct horse battery";

/** Fills the fields of the form of the page and sends it. */
const send = async (page, fields, button = "main form .actions button:not(.quiet)") => {
  for (const [name, value] of Object.entries(fields)) await page.fill(`main [name=${name}]`, value);
  await page.locator(button).first().click();
};
const SOON = { waitUntil: "domcontentloaded" };
const done = (page, what) => page.waitForURL(new RegExp(`done=${what}`), SOON);

/** Waits until the compaction is over, so that another one can be asked for. */
const ended = async (page) => {
  do await page.goto(page.url().split("?")[0]);
  while (!(await page.locator("form[action$='/compact']").count()));
};

/**
 * Each action: who may do it, the page that offers it, the attribute of what offers it, its address, and how it is
 * done there. `get`: the address is a file; `post`: it is of a form.
 */
const table = ({ campaign, available, held, redeemed, day, nth }) => {
  const [at, of] = [`/console/campaigns/${campaign}`, (code) => `/console/coupons/${code}`];
  const link = (path) => `href="${path}"`;
  const coupon = (code, action, fields, says) => ({
    roles: "support admin", from: of(code), offer: link(`${of(code)}/${action}`), path: `${of(code)}/${action}`,
    act: async (page) => { await send(page, fields); await done(page, says); },
  });
  return {
    look: { roles: ROLES.join(" "), from: "/console", offer: link("/console/store"), path: "/console/store", act: (page) => page.locator("main h1").waitFor() },
    readAudit: { roles: "operator admin", from: "/console", offer: link("/console/audit"), path: "/console/audit", act: (page) => page.locator("main ol.line").first().waitFor() },
    createCampaign: {
      roles: "marketer admin", from: "/console/campaigns", offer: link("/console/new-campaign"), path: "/console/new-campaign",
      act: async (page) => {
        await page.locator("[name=handout][value=shop]").check();
        await send(page, { name: `Made ${nth}`, campaign_id: `made-${nth}`, stock: "5", expires_on: day(30) });
        await page.locator(".preview button").click();
        await done(page, "created");
      },
    },
    changeCampaign: { roles: "marketer admin", from: at, offer: link(`${at}/terms`), path: `${at}/terms`, act: async (page) => { await send(page, { name: `Other ${nth}` }); await done(page, "changed"); } },
    pauseCampaign: {
      roles: "marketer operator admin", from: at, offer: link(`${at}/pause`), path: `${at}/pause`,
      act: async (page) => {
        await send(page, { reason: "leaked" });
        await done(page, "paused");
        await page.locator(`main a[href="${at}/pause"]`).click();
        await send(page, { reason: "found" });
        await done(page, "resumed");
      },
    },
    addStock: { roles: "marketer admin", from: at, offer: link(`${at}/stock`), path: `${at}/stock`, act: async (page) => { await send(page, { count: "5" }); await done(page, "stock"); } },
    codesPage: { roles: "marketer admin", from: at, offer: link(`${at}/codes`), path: `${at}/codes`, act: (page) => page.locator("main .attention").waitFor() },
    downloadCodes: { roles: "marketer admin", from: `${at}/codes`, offer: link(`${at}/codes.csv`), path: `${at}/codes.csv`, get: true },
    downloadWorkbook: { roles: "marketer admin", from: `${at}/codes`, offer: link(`${at}/codes.xlsx`), path: `${at}/codes.xlsx`, get: true },
    printCodes: { roles: "marketer admin", from: `${at}/codes`, offer: link(`${at}/sheet`), path: `${at}/sheet`, act: (page) => page.locator("svg.qr").first().waitFor() },
    import: {
      roles: "marketer admin", from: at, offer: link(`${at}/import`), path: `${at}/import`,
      act: async (page) => {
        await page.setInputFiles("[name=file]", { name: "codes.csv", mimeType: "text/csv", buffer: Buffer.from(`code\nFILE-${nth}\n`) });
        await page.locator("#send button").first().click();
        await page.locator("#guide table.sample").waitFor();
        await page.locator("#guide .panel .notice").first().waitFor();
      },
    },
    issue: coupon(available, "issue", { user_id: "ann" }, "issued"),
    revoke: coupon(held[0], "revoke", { reason: "wrong person" }, "revoked"),
    extend: coupon(held[1], "extend", { expires_on: day(50), reason: "shipped late" }, "extended"),
    void: coupon(held[1], "void", { reason: "printed twice" }, "voided"),
    cancelRedemption: coupon(redeemed, "cancel-redemption", { reason: "returned" }, "cancelled"),
    downloadReport: { roles: "marketer support operator admin", from: "/console/reports", offer: "href=\"/console/reports/redemptions.csv", path: "/console/reports/redemptions.csv", get: true },
    manageWebhooks: {
      roles: "operator admin", from: "/console/webhooks/shop", offer: "action=\"/console/webhooks/shop/state\"", path: "/console/webhooks/shop/state", post: true,
      act: async (page) => { await page.locator("form[action$='/state'] button").click(); await done(page, "(paused|resumed)"); },
    },
    readPerson: { roles: "admin", from: "/console/customers/ann", offer: link("/console/customers/ann/data/csv"), path: "/console/customers/ann/data/csv", get: true },
    changeWebhooks: {
      roles: "admin", from: "/console/events", offer: link("/console/new-webhook"), path: "/console/new-webhook",
      act: async (page) => { await send(page, { url: "https://till.example.com/in" }); await page.locator("#secret").waitFor(); },
    },
    compact: {
      roles: "operator admin", from: "/console/store", offer: "action=\"/console/store/compact\"", path: "/console/store/compact", post: true,
      act: async (page) => { await page.locator("form[action$='/compact'] button").click(); await done(page, "compacting"); await ended(page); },
    },
    manageStaff: { roles: "admin", from: "/console", offer: link("/console/staff"), path: "/console/staff", act: async (page) => { await page.locator("form[action$='/invite'] button").click(); await page.locator("#link").waitFor(); } },
  };
};

/** What one role works with. */
const seeded = async (call, codes, nth, day) => {
  const campaign = `act-${nth}`;
  await call("POST", "/v1/campaigns", { campaign_id: campaign, name: campaign, stock: 9, per_user_limit: 9, expires_on: day(40) });
  const issue = async (ref) => (await call("POST", `/v1/campaigns/${campaign}/issue`, { user_id: "ann", issue_ref: ref })).code;
  const held = [await issue("1"), await issue("2")];
  const redeemed = await issue("3");
  await call("POST", `/v1/coupons/${redeemed}/redeem`, { user_id: "ann", order_ref: `act-${nth}` });
  const available = (await codes(campaign)).split("\n")[1];
  return { campaign, available, held, redeemed, day, nth };
};

/** Makes an account of a role, with a link of the admin. */
const invite = async ({ base, home }, role) => {
  const page = await home.newPage();
  await page.goto(`${base}/console/staff`);
  await page.selectOption("form[action$='/invite'] [name=role]", role);
  await page.fill("form[action$='/invite'] [name=name]", `act-${role}`);
  await page.locator("form[action$='/invite'] button").click();
  const link = await page.locator("#link").inputValue();
  await page.close();
  return link;
};

/** Does, or does not find, every action of a role in a language. */
const play = async ({ base, page, lang, role, made }) => {
  let acted = 0;
  const pages = new Map();
  for (const [name, row] of Object.entries(table(made))) {
    const said = `${role} ${lang} ${name}`;
    const may = row.roles.split(" ").includes(role);
    if (!pages.has(row.from)) pages.set(row.from, await (await page.request.get(base + row.from)).text());
    assert.equal(pages.get(row.from).includes(row.offer), may, `${said}: offered`);
    if (!may || row.get) {
      const answer = row.post ? await page.request.post(base + row.path) : await page.request.get(base + row.path);
      assert.equal(answer.status(), may ? 200 : 403, `${said}: ${row.path}`);
    }
    if (may && row.act) {
      await page.goto(base + (row.post ? row.from : row.path), SOON);
      await row.act(page);
      assert.equal(await page.locator("html").getAttribute("lang"), lang, said);
      for (const text of await page.locator("main > .notice").allInnerTexts()) assert.equal(/[가-힣]/.test(text), lang === "ko", `${said}: ${text}`);
    }
    acted += may ? 1 : 0;
  }
  await page.goto(`${base}/console`, SOON);
  await page.locator(".person summary").click();
  await page.locator("form[action='/console/sign-out'] button:not([name])").click();
  await page.waitForURL(/sign-in/, SOON);
  return acted;
};

export const everyAction = async (session, { base, call, codes, day, context, watched }) => {
  const home = await context("en", "light", "desk", session);
  const links = {};
  for (const role of ROLES) links[role] = await invite({ base, home }, role);
  await home.close();
  let acted = 0;
  for (const lang of ["en", "ko"]) {
    const plays = ROLES.map(async (role) => {
      const place = await context(lang, "light", "desk", undefined, { javaScriptEnabled: false });
      const page = watched(await place.newPage());
      const made = await seeded(call, codes, `${lang}-${role}`, day);
      // The link makes the account; in the other language it signs in.
      const [path, form] = lang === "en" ? ["welcome", { link: new URL(links[role]).searchParams.get("link") }] : ["sign-in", { name: `act-${role}` }];
      const signed = await page.request.post(`${base}/console/${path}`, { form: { ...form, password: PASSWORD }, maxRedirects: 0 });
      assert.equal(signed.status(), 303, `${role} ${lang}: signed in`);
      const count = await play({ base, page, lang, role, made });
      await place.close();
      return count;
    });
    for (const count of await Promise.all(plays)) acted += count;
  }
  return acted;
};
