// Opens every screen of the console in a browser: in both languages and themes, on a desk, a tablet and a phone.
// axe-core finds nothing (RULES says what it looks for where), nothing is logged as an error, no request leaves the
// origin, nothing is wider than the screen, and no page is larger than it may be. Then the stories: a marketer's day,
// a support call, two people at one form, an expired session in the middle of a form, an upload that breaks off. Last
// every action of every role, in actions.mjs.
//
// COUPONRY is the address, LINK a one-time link for an admin, TOKEN an admin's token of the API. SHOTS is a
// folder for pictures; without it none are made. STORY names a story that is played alone.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { chromium } from "playwright-core";
import { everyAction } from "./actions.mjs";
import { call, day } from "./shop.mjs";

const { COUPONRY: base, LINK: link, TOKEN: token, SHOTS: shots, STORY: story, CHROMIUM: executablePath } = process.env;
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TRANSFERRED_MAX = 100_000;
const HOSTILE = "<b>Bold</b> & \"quotes\" 'מימין לשמאל 😀";

/** Fills the store with what the screens show. */
const seed = async () => {
  const campaigns = [
    { campaign_id: "spring", name: "봄맞이 10% 할인", stock: 1000, expires_on: day(90), time_zone: "Asia/Seoul" },
    { campaign_id: "welcome", name: "Welcome: 10 % off the first order", stock: 100_000_000, expires_on: day(365), metadata: { goodwill: true } },
    { campaign_id: "friday", name: "Flash Friday", stock: 20, handout: "self", expires_on: day(3) },
    { campaign_id: "mail", name: "Newsletter", stock: 0, handout: "bearer", per_user_limit: null, expires_on: day(6) },
    { campaign_id: "summer", name: "SUMMER for everybody", stock: 100, handout: "shared", shared_code: "SUMMER", expires_on: day(40) },
    { campaign_id: "nasty", name: HOSTILE, stock: 50, expires_on: day(30) },
    { campaign_id: "birthday", name: "생일 축하 쿠폰", stock: 300, expires_on: day(60), time_zone: "Asia/Seoul" },
  ];
  for (const campaign of campaigns) await call("POST", "/v1/campaigns", campaign);
  const codes = [];
  for (let nth = 0; nth < 40; nth += 1) {
    const campaign = ["spring", "welcome", "friday", "nasty"][nth % 4];
    const coupon = await call("POST", `/v1/campaigns/${campaign}/issue`, { user_id: `user-${nth % 25}`, issue_ref: `r${nth}` });
    if (coupon.code) codes.push([coupon.code, `user-${nth % 25}`]);
  }
  for (const [nth, [code, user_id]] of codes.entries()) {
    if (nth % 3 === 0) await call("POST", `/v1/coupons/${code}/redeem`, { user_id, order_ref: `order-${nth}` });
    if (nth % 9 === 0) await call("POST", `/v1/coupons/${code}/cancel-redemption`, { order_ref: `order-${nth}`, reason: HOSTILE });
    if (nth % 5 === 0) await call("POST", `/v1/coupons/${code}/redeem`, { user_id: "mallory", order_ref: `bad-${nth}` });
  }
  await call("POST", "/v1/campaigns/mail/batches?batch_id=old", "code,expires_at\nOLD-0001,2027-12-31\nno code!,x\n=1+1,2027\n", "text/csv");
  await call("POST", "/v1/webhooks", { webhook_id: "shop", url: "https://shop.example.com/hooks" });
  await call("PATCH", "/v1/campaigns/birthday", { paused: true, reason: HOSTILE });
  return { redeemed: codes[3], issued: codes[1] };
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const problems = [];
const watched = (page, origin = base) => {
  page.on("console", (said) => said.type() === "error" && !(origin === base ? /status of 4\d\d/ : /status of 4\d\d|net::ERR/).test(said.text()) && problems.push(`${page.url()}: ${said.text()}`));
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  page.on("request", (asked) => !asked.url().startsWith(origin) && !asked.url().startsWith("data:") && problems.push(`${page.url()} asks ${asked.url()}`));
  return page;
};

const SIZES = { desk: [1440, 900], tablet: [1024, 768], phone: [390, 844] };
const context = (lang, theme, size, session, more = {}) => browser.newContext({
  ...more,
  locale: lang === "ko" ? "ko-KR" : "en-GB",
  colorScheme: theme,
  viewport: { width: SIZES[size][0], height: SIZES[size][1] },
  storageState: session,
});

// What axe-core looks for: everything, or what depends on the theme or on the size.
const EVERYTHING = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
const COLOURS = { type: "rule", values: ["color-contrast"] };
const TARGETS = { type: "rule", values: ["target-size"] };
// In which languages, themes and sizes each screen is opened, and what axe-core looks for there; the rest only for pictures.
const RULES = {
  "en light desk": EVERYTHING,
  "en dark desk": COLOURS,
  "en light tablet": null,
  "en light phone": TARGETS,
  "ko light desk": null,
};

/** Looks at the page as it is. */
const check = async (page, name, runOnly) => {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) problems.push(`${name}: ${wide} pixels wider than the screen`);
  if (runOnly) {
    await page.evaluate(axe);
    const found = await page.evaluate((runOnly) => window.axe.run(document, { runOnly }), runOnly);
    for (const { id, nodes } of found.violations) problems.push(`${name}: axe ${id}: ${nodes.map((node) => `${node.target} ${node.any?.[0]?.message ?? ""}`).slice(0, 3).join(" | ")}`);
  }
  if (shots) {
    await mkdir(shots, { recursive: true });
    await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
  }
};

const signIn = async () => {
  const home = await context("en", "light", "desk");
  const page = watched(await home.newPage());
  await page.goto(`${base}/console`);
  assert.match(page.url(), /sign-in/, "nobody is signed in");
  await check(page, "sign-in-en-light-desk", EVERYTHING);
  await page.goto(link);
  await check(page, "welcome-en-light-desk", EVERYTHING);
  await page.fill("[name=name]", "eva@example.com");
  await page.fill("[name=password]", "correct horse battery");
  await page.click("main button");
  await page.waitForURL(`${base}/console`);
  await check(page, "overview-empty-en-light-desk", EVERYTHING);
  await page.goto(link);
  assert.equal(await page.locator("form.stack").count(), 0, "a link works once");
  const state = await home.storageState();
  await home.close();
  return state;
};

/** The page for SQL, empty and with the rows of a saved query, if couponry-history is there. */
const queryScreens = async (session) => {
  if (!process.env.HISTORY) return {};
  const home = await context("en", "light", "desk", session);
  const page = watched(await home.newPage());
  await page.goto(`${base}/console/reports/sql`);
  await page.fill("[name=sql]", "select campaign_id, state, count(*) as coupons from coupons group by 1, 2 order by 1, 2");
  await page.fill("[name=name]", HOSTILE);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("nasty").first().waitFor();
  const saved = new URL(page.url()).pathname;
  await home.close();
  return { sql: "/console/reports/sql", "sql-rows": saved, "sql-uses": "/console/reports/sql?campaign=welcome" };
};

const everyScreen = async (session, { redeemed, issued }) => {
  const screens = {
    overview: "/console",
    campaigns: "/console/campaigns",
    campaign: "/console/campaigns/spring",
    "campaign-hours": "/console/campaigns/friday?by=hour",
    "campaign-hostile": "/console/campaigns/nasty",
    "new-campaign": "/console/new-campaign?like=spring",
    codes: "/console/campaigns/spring/codes",
    "codes-bearer": "/console/campaigns/mail/codes",
    pause: "/console/campaigns/spring/pause",
    stock: "/console/campaigns/spring/stock",
    terms: "/console/campaigns/spring/terms",
    search: "/console/coupons",
    "search-none": "/console/coupons?q=nobody-knows-this",
    coupon: `/console/coupons/${redeemed[0]}`,
    "coupon-issued": `/console/coupons/${issued[0]}`,
    "coupon-void": `/console/coupons/${issued[0]}/void`,
    "coupon-extend": `/console/coupons/${issued[0]}/extend`,
    customer: `/console/customers/${redeemed[1]}`,
    reports: "/console/reports",
    calendar: "/console/calendar",
    day: `/console/calendar/${day(90)}`,
    import: "/console/import",
    "import-file": "/console/campaigns/mail/import",
    batch: "/console/campaigns/mail/batches/old",
    printed: "/console/campaigns/friday/sheet",
    events: "/console/events",
    webhook: "/console/webhooks/shop",
    "webhook-terms": "/console/webhooks/shop/terms",
    store: "/console/store",
    keys: "/console/keys",
    staff: "/console/staff",
    audit: "/console/audit",
    "audit-filtered": `/console/audit?actor=admin:root&day=${day(0)}`,
    today: "/console/today",
    nowhere: "/console/nowhere",
    ...(await queryScreens(session)),
  };
  let [opened, largest] = [0, ["", 0]];
  for (const lang of ["en", "ko"]) {
    for (const theme of ["light", "dark"]) {
      for (const size of Object.keys(SIZES)) {
        const axeRules = RULES[`${lang} ${theme} ${size}`];
        if (!shots && axeRules === undefined) continue;
        const home = await context(lang, theme, size, session);
        const page = watched(await home.newPage());
        let bytes = 0;
        page.on("response", async (answer) => {
          bytes += (await answer.request().sizes().catch(() => ({ responseBodySize: 0 }))).responseBodySize;
        });
        for (const [name, path] of Object.entries(screens)) {
          bytes = 0;
          const answer = await page.goto(base + path, { waitUntil: "load" });
          const want = name === "nowhere" ? 404 : 200;
          if (answer.status() !== want) problems.push(`${path}: ${answer.status()}`);
          const html = await page.locator("html").getAttribute("lang");
          assert.equal(html, lang, path);
          await check(page, `${name}-${lang}-${theme}-${size}`, axeRules);
          if (bytes > largest[1]) largest = [`${name} ${lang}`, bytes];
          if (bytes > TRANSFERRED_MAX) problems.push(`${path}: ${bytes} bytes transferred`);
          opened += 1;
        }
        await home.close();
      }
    }
  }
  console.log(`opened ${opened} pages; the largest, ${largest[0]}, is ${largest[1]} bytes with its style`);
};

/** A marketer makes a campaign with the keyboard alone, and pauses it. */
const marketersDay = async (session) => {
  const home = await context("ko", "light", "desk", session);
  const page = watched(await home.newPage());
  await page.goto(`${base}/console`);
  await page.keyboard.press("/");
  await page.keyboard.type("SUMMER");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /SUMMER for everybody/ }).waitFor();
  await page.goto(`${base}/console/new-campaign`);
  await page.locator("[name=handout][value=shop]").check();
  await page.fill("[name=name]", "가을 세일");
  await page.fill("[name=campaign_id]", "autumn");
  await page.fill("[name=stock]", "1000");
  await page.fill("[name=expires_on]", day(20));
  await page.locator("[name=stock]").press("Enter");
  await page.getByText("쿠폰 1,000장을 만듭니다.").waitFor();
  await check(page, "preview-ko-light-desk", EVERYTHING);
  await page.getByRole("button", { name: "캠페인 만들기" }).click();
  await page.waitForURL(/campaigns\/autumn/);
  await page.getByRole("link", { name: "일시 중지" }).click();
  await page.fill("[name=reason]", "문구 오류");
  // A colleague pauses it at the same moment: both find it paused.
  await call("PATCH", "/v1/campaigns/autumn", { paused: true, reason: "the same" });
  await page.getByRole("button", { name: "일시 중지" }).click();
  await page.waitForURL(/done=paused/);
  assert.equal((await call("GET", "/v1/campaigns/autumn")).paused, true);
  await home.close();
};

/** Two campaigns are paused at once, found by a sorted list, and resumed. */
const pausing = async (session) => {
  const home = await context("en", "light", "desk", session);
  const page = watched(await home.newPage());
  for (const [button, done] of [["Pause", "paused-all"], ["Resume", "resumed-all"]]) {
    await page.goto(`${base}/console/campaigns`);
    await page.getByRole("columnheader").getByRole("link", { name: "Name" }).click();
    await page.locator("th[aria-sort=ascending]").waitFor();
    for (const name of [/SUMMER for everybody/, /생일 축하 쿠폰/]) await page.getByRole("checkbox", { name }).check();
    await page.fill("#bulk [name=reason]", "a wrong text");
    await page.getByRole("button", { name: button }).click();
    await page.waitForURL(new RegExp(`done=${done}`));
  }
  for (const id of ["summer", "birthday"]) assert.equal((await call("GET", `/v1/campaigns/${id}`)).paused, false);
  await home.close();
};

/** A customer calls: their code does not work. */
const supportCall = async (session, { issued }) => {
  const home = await context("en", "light", "phone", session);
  const page = watched(await home.newPage());
  const code = issued[0];
  // Two wrong characters.
  const wrong = (code.startsWith("0") ? "1" : "0") + code.slice(1, -1) + (code.endsWith("0") ? "1" : "0");
  await page.goto(`${base}/console/coupons`);
  await page.fill("#ask", wrong.toLowerCase());
  await page.locator("#ask").press("Enter");
  await check(page, "mistyped-en-light-phone", EVERYTHING);
  await page.getByRole("link", { name: code }).click();
  await page.getByRole("link", { name: "Extend" }).click();
  await page.fill("[name=expires_on]", day(400));
  await page.fill("[name=reason]", "shipped late");
  await page.getByRole("button", { name: "Extend" }).click();
  await page.waitForURL(/done=extended/);
  const coupon = await call("GET", `/v1/coupons/${code}`);
  assert.equal(coupon.events.at(-1).actor, "staff:eva@example.com");
  await home.close();
};

/** A session ends in the middle of a form: the input survives. */
const expiredSession = async (session) => {
  const home = await context("en", "light", "desk", session);
  const page = watched(await home.newPage());
  await page.goto(`${base}/console/campaigns/welcome/stock`);
  await page.fill("[name=count]", "5");
  await home.clearCookies();
  await page.locator("main form button").click();
  await page.fill("[name=name]", "eva@example.com");
  await page.fill("[name=password]", "correct horse battery");
  await check(page, "session-over-en-light-desk", EVERYTHING);
  await page.locator("main form button").click();
  await page.getByRole("button", { name: "Send it now" }).click();
  await page.waitForURL(/done=stock/);
  assert.equal((await call("GET", "/v1/campaigns/welcome")).stock, 100_000_005);
  await home.close();
};

/** Two people change the terms of a campaign at once: nothing that was typed is lost. */
const twoPeople = async (session) => {
  const home = await context("en", "light", "desk", session);
  const page = watched(await home.newPage());
  await page.goto(`${base}/console/campaigns/welcome/terms`);
  await page.fill("[name=per_user_limit]", "3");
  await call("PATCH", "/v1/campaigns/welcome", { name: "Welcome: 15 % off the first order" });
  await page.locator("main form .actions button").click();
  await page.getByText("while this form was open").waitFor();
  await check(page, "conflict-en-light-desk", EVERYTHING);
  await page.locator("main form .actions button").click();
  await page.waitForURL(/done=changed/);
  const { name, per_user_limit } = await call("GET", "/v1/campaigns/welcome");
  assert.deepEqual([name, per_user_limit], ["Welcome: 15 % off the first order", 3]);
  await home.close();
};

/** A shop's file: its columns are guessed and corrected, its words explained; it is checked and imported, and chosen once. */
const importing = async (session) => {
  const home = await context("en", "light", "desk", session);
  const page = watched(await home.newPage());
  await page.goto(`${base}/console/campaigns/mail/import`);
  const lines = Array.from({ length: 2000 }, (_, nth) => `NEWS-${String(nth).padStart(5, "0")},VIP,${nth % 2 ? "대기" : "미사용"}`);
  await page.setInputFiles("[name=file]", { name: "뉴스레터.csv", mimeType: "text/csv", buffer: Buffer.from(["번호,등급,상태", ...lines, "bad code!,VIP,대기"].join("\n")) });
  await page.getByText("say which column it is").waitFor();
  await page.getByLabel("Meaning of column 1").selectOption("code");
  await page.getByLabel("대기").selectOption("available");
  await check(page, "columns-en-light-desk", EVERYTHING);
  await page.getByRole("button", { name: "Check the file" }).click();
  await page.getByText("2,001 lines: 2,000 new").waitFor();
  await check(page, "checked-en-light-desk", EVERYTHING);
  await page.getByRole("button", { name: "Import 2,000 lines" }).click();
  await page.waitForURL(/batches\/nyuseureteo$/);
  await page.getByText("bad code!").waitFor();
  await home.close();
};

/**
 * An upload of `UPLOAD_BYTES` (4 MB unless that says more) whose tab is closed half way, and whose connection breaks
 * half way the next time: everything is there once.
 */
const brokenUpload = async (session) => {
  const bytes = Number(process.env.UPLOAD_BYTES ?? 4_000_000);
  const lines = Math.ceil(bytes / 200);
  const note = "x".repeat(200 - "BROKEN-00000000,,\n".length);
  const path = "broken.csv";
  await writeFile(path, Array.from({ length: lines }, (_, nth) => `BROKEN-${String(nth).padStart(8, "0")},${note}`).join("\n"));
  // Between the browser and the server, so that the connection can break.
  const sockets = new Set();
  let isBroken = false;
  const between = createServer((from) => {
    if (isBroken) return from.destroy();
    const to = connect(Number(new URL(base).port), "127.0.0.1");
    for (const [one, other] of [[from, to], [to, from]]) one.pipe(other).on("error", () => {});
    return sockets.add(from);
  }).listen(0, "127.0.0.1");
  await once(between, "listening");
  const origin = `http://127.0.0.1:${between.address().port}`;
  const home = await context("en", "light", "desk", session);
  const opened = async (address) => {
    const page = watched(await home.newPage(), origin);
    await page.goto(origin + address);
    const network = await home.newCDPSession(page);
    await network.send("Network.enable");
    await network.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes / 4 });
    return page;
  };
  const sent = async (page, name) => {
    await page.getByRole("button", { name }).click();
    await page.waitForFunction(() => { const bar = document.querySelector("progress"); return bar.value / bar.max > 0.5; });
  };
  const first = await opened("/console/campaigns/nasty/import");
  await first.setInputFiles("[name=file]", path);
  await first.getByLabel("Meaning of column 1").waitFor();
  const batch = await first.locator("[name=batch_id]").inputValue();
  await first.getByRole("button", { name: "Check the file" }).click();
  await first.getByText(`${lines.toLocaleString("en")} lines: `).waitFor();
  await sent(first, /^Import /);
  await first.close();
  const half = await call("GET", `/v1/campaigns/nasty/batches/${batch}`);
  assert.ok(half.count < lines, "it is closed half way");
  const again = await opened(`/console/campaigns/nasty/batches/${batch}`);
  await again.getByRole("link", { name: "Send the file again" }).click();
  await again.setInputFiles("[name=file]", path);
  await again.getByLabel("Meaning of column 1").waitFor();
  await sent(again, "Go on with the import");
  isBroken = true;
  for (const socket of sockets) socket.destroy();
  await again.getByText("The connection broke").waitFor();
  isBroken = false;
  await again.waitForURL(/done=imported/, { timeout: 600_000 });
  const { count, rejected } = await call("GET", `/v1/campaigns/nasty/batches/${batch}`);
  assert.deepEqual({ count, rejected }, { count: lines, rejected: 0 });
  await home.close();
  between.close();
};

/** What happens is seen as it happens. */
const liveTail = async (session) => {
  const home = await context("en", "light", "desk", session);
  const page = watched(await home.newPage());
  await page.goto(`${base}/console/events`);
  const begun = page.waitForResponse(/events\/tail/);
  await page.getByRole("button", { name: "Start" }).click();
  await begun;
  await call("POST", "/v1/campaigns/welcome/issue", { user_id: "tail-1", issue_ref: "tail" });
  await page.locator("#tail").getByText("tail-1").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keyboard" }).waitFor();
  await home.close();
};

const began = Date.now();
console.log(`console suite: Chromium ${browser.version()}, axe-core ${JSON.parse(await readFile(createRequire(import.meta.url).resolve("axe-core/package.json"), "utf8")).version}, ${base}`);
const session = await signIn();
const seeded = await seed();
if (!story) await everyScreen(session, seeded);
const stories = [marketersDay, pausing, supportCall, twoPeople, expiredSession, importing, brokenUpload, liveTail];
for (const one of stories.filter((it) => !story || it.name === story)) {
  const since = Date.now();
  await one(session, seeded);
  console.log(`story ${one.name}: done in ${Math.round((Date.now() - since) / 1000)} s`);
}
const codes = async (campaign) => (await fetch(`${base}/v1/campaigns/${campaign}/codes`, { headers: { authorization: `Bearer ${token}` } })).text();
const from = Date.now();
const acted = story ? 0 : await everyAction(session, { base, call, codes, day, context, watched });
console.log(`${acted} actions of five roles in two languages in ${Math.round((Date.now() - from) / 1000)} s`);
await browser.close();
const different = [...new Set(problems)];
console.log(different.join("\n"));
console.log(`${different.length} problems in ${Math.round((Date.now() - began) / 1000)} s`);
process.exit(different.length ? 1 : 0);
