// Twenty tasks of a Korean shop, each played as somebody does it who has read no docs: from the overview on, by links,
// buttons and fields that can be seen. No address is typed. TASKS has how many clicks each may take, and how many it
// took when it was first played. Enter is a click, and so is a box to tick.
//
// COUPONRY is the address, TOKEN an admin's token of the API. ADMIN, MARKETER, SUPPORT and OPERATOR are one-time links for
// an account of each role. ONLY names a task that is played alone.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { call, day } from "./shop.mjs";

const { COUPONRY: base, ONLY: only, CHROMIUM: executablePath } = process.env;
const PASSWORD = "correct horse battery";
const PAGE_MAX = 60_000;

/** A shop in the middle of its day. */
const seed = async () => {
  const seoul = { time_zone: "Asia/Seoul" };
  const campaigns = [
    { campaign_id: "spring", name: "봄맞이 10% 할인", stock: 1000, per_user_limit: 1, expires_on: day(90), ...seoul },
    { campaign_id: "friday", name: "금요일 특가", stock: 20, expires_on: day(3), ...seoul },
    { campaign_id: "mail", name: "뉴스레터 쿠폰", stock: 100, handout: "bearer", expires_on: day(60), ...seoul },
    { campaign_id: "birthday", name: "생일 축하 쿠폰", stock: 300, expires_on: day(60), ...seoul },
    { campaign_id: "sorry", name: "고객 사과 쿠폰", stock: 500, expires_on: day(120), metadata: { goodwill: true }, ...seoul },
    { campaign_id: "moved", name: "이전 쇼핑몰 쿠폰", stock: 0, handout: "bearer", expires_on: day(200), ...seoul },
  ];
  for (const campaign of campaigns) await call("POST", "/v1/campaigns", campaign);
  const issue = async (campaign, user_id) => (await call("POST", `/v1/campaigns/${campaign}/issue`, { user_id, issue_ref: `${campaign}-${user_id}` })).code;
  for (let nth = 0; nth < 19; nth += 1) await issue("friday", `고객-${nth}`);
  const codes = {};
  for (const user of ["minji", "jiho", "seoyeon", "haneul"]) codes[user] = await issue("spring", user);
  await call("POST", `/v1/coupons/${codes.jiho}/redeem`, { user_id: "jiho", order_ref: "주문-2001" });
  await call("POST", `/v1/coupons/${codes.minji}/redeem`, { user_id: "minji-2", order_ref: "주문-2002" });
  await call("POST", "/v1/campaigns/moved/batches?batch_id=first-try", "code\nOLD-0001\n잘못된 코드!\nOLD-0002\n", "text/csv");
  await call("POST", "/v1/webhooks", { webhook_id: "erp", url: "https://erp.example.com/hooks" });
  await call("PATCH", "/v1/campaigns/birthday", { paused: true, reason: "문구 오류" });
  await call("PATCH", "/v1/campaigns/birthday", { paused: false, reason: "문구 수정" });
  return codes;
};

/** A text as people read it: what others wrote has marks of direction around it. */
const shown = (text) => [...text].map((it) => it.replace(/[.*+?^${}()|[\]\\]/, "\\$&")).join("[\u2068\u2069]*");
const spoken = (name) => name instanceof RegExp ? name : new RegExp(`^[\u2068\u2069]*${shown(name)}[\u2068\u2069]*$`);

/** Somebody at the console, and what a task has cost them. */
class Person {
  constructor(page) {
    this.page = page;
  }

  async begin() {
    await this.page.goto(`${base}/console`);
    Object.assign(this, { clicks: 0, fields: 0, pages: 0, slowest: 0, largest: ["", 0] });
  }

  /** Does what takes a click, and looks at the page to which it leads. */
  async press(does) {
    this.clicks += 1;
    const before = await this.page.evaluate(() => performance.timeOrigin);
    await does();
    await this.page.waitForLoadState("load");
    const seen = await this.page.evaluate(() => {
      const { duration, decodedBodySize } = performance.getEntriesByType("navigation")[0];
      return { origin: performance.timeOrigin, duration, decodedBodySize };
    });
    if (seen.origin === before) return;
    this.pages += 1;
    this.slowest = Math.max(this.slowest, seen.duration);
    const path = decodeURIComponent(new URL(this.page.url()).pathname);
    if (seen.decodedBodySize > this.largest[1]) this.largest = [path, seen.decodedBodySize];
    // A sheet to print has a drawing for each code.
    assert.ok(seen.decodedBodySize < PAGE_MAX || path.endsWith("/sheet"), `${path} has ${seen.decodedBodySize} bytes`);
  }

  /** Something of the page that can be seen and has this name; the first of several. */
  of(role, name) {
    return this.page.getByRole(role, { name: spoken(name) }).filter({ visible: true }).first();
  }

  /** Follows a link. */
  link(name) {
    return this.press(() => this.left(() => this.of("link", name).click()));
  }

  /** Does what leads to another page. */
  left(does) {
    return Promise.all([this.page.waitForNavigation(), does()]);
  }

  button(name) {
    const button = this.page.locator("main").getByRole("button", { name: spoken(name) });
    return this.press(() => button.filter({ visible: true }).first().click());
  }

  /** A box or a choice. */
  tick(name) {
    const box = this.page.getByLabel(name).or(this.page.getByLabel(spoken(name))).first();
    return this.press(() => box.check());
  }

  async fill(name, text) {
    this.fields += 1;
    await this.page.locator("main").getByLabel(name).filter({ visible: true }).first().fill(text);
  }

  async pick(name, option) {
    this.fields += 1;
    await this.page.locator("main").getByLabel(name).first().selectOption(option);
  }

  async search(text) {
    this.fields += 1;
    await this.page.locator("#find").fill(text);
    await this.press(() => this.left(() => this.page.locator("#find").press("Enter")));
  }

  async choose(name, text) {
    this.fields += 1;
    await this.page.setInputFiles("[name=file]", { name, mimeType: "text/csv", buffer: Buffer.from(text) });
  }

  /** What a link downloads. */
  async file(name) {
    this.clicks += 1;
    const [file] = await Promise.all([this.page.waitForEvent("download"), this.of("link", name).click()]);
    return { name: file.suggestedFilename(), text: await readFile(await file.path(), "utf8") };
  }

  /** What the page says. */
  async sees(text) {
    await this.page.locator("main").getByText(new RegExp(shown(text))).filter({ visible: true }).first().waitFor();
  }
}

/** The campaign that the list leads to. */
const campaign = async (who, name) => {
  await who.link("캠페인");
  await who.link(name);
};

/** From the form to the campaign. */
const made = async (who) => {
  await who.button("확인하기");
  await who.button("캠페인 만들기");
  await who.sees("캠페인을 만들었습니다");
};

/** Who does what: the clicks that it may take, which may only fall, those that it took at first, and how. */
const TASKS = [
  ["marketer", "10% 쿠폰 10만 장", 5, 6, async (who) => {
    await who.link("새 캠페인");
    await who.tick("쇼핑몰이 발급");
    await who.fill("이름", "여름맞이 10% 할인");
    await who.fill(/^수량$/, "10만");
    await who.tick("정률 할인");
    await who.fill("할인율(%)", "10");
    await who.fill("만료일", day(60));
    await made(who);
    await who.sees("쇼핑몰 연동");
  }],
  ["marketer", "나눠 줄 5,000원 코드", 7, 8, async (who) => {
    await who.link("새 캠페인");
    await who.tick("코드를 가진 사람 누구나");
    await who.fill("이름", "행사장 쿠폰");
    await who.fill(/^수량$/, "500장");
    await who.tick("정액 할인");
    await who.fill("할인 금액", "5천 원");
    await who.fill("만료일", day(30));
    await made(who);
    await who.link("코드 내려받기");
    const file = await who.file("CSV 파일 내려받기");
    assert.match(file.name, /^haengsajang-kupon-codes-.*\.csv$/);
    assert.equal(file.text.trim().split("\n").length, 501);
  }],
  ["marketer", "아무 데서도 안 되는 코드", 8, 8, async (who) => {
    await campaign(who, "생일 축하 쿠폰");
    await who.link("코드 내려받기");
    await who.sees("발급하기 전에는 아무도 쓸 수 없는 코드입니다");
    await who.link("‘코드를 가진 사람 누구나’로 복제");
    await made(who);
    await who.link("코드 내려받기");
    await who.file("CSV 파일 내려받기");
  }],
  ["marketer", "예전 시스템의 코드 가져오기", 7, 7, async (who) => {
    await who.link("새 캠페인");
    await who.tick("코드를 가진 사람 누구나");
    await who.fill("이름", "예전 코드");
    await who.fill("만료일", day(100));
    await made(who);
    await who.link("코드 가져오기");
    await who.choose("예전 코드.csv", `번호,등급\n${Array.from({ length: 50 }, (_, nth) => `LEGACY-${nth},VIP`).join("\n")}\n`);
    await who.pick("1번째 열의 뜻", "code");
    await who.button("파일 확인");
    await who.button("50줄 가져오기");
    await who.sees("파일을 가져왔습니다");
  }],
  ["marketer", "거부된 줄 고치기", 4, 4, async (who) => {
    await campaign(who, "이전 쇼핑몰 쿠폰");
    await who.link("first-try");
    await who.sees("1줄은 거부되어 가져오지 않았습니다");
    const file = await who.file("거부된 줄 내려받기");
    assert.match(file.text, /잘못된 코드!/);
  }],
  ["marketer", "캠페인 기간 연장", 4, null, async (who) => {
    await campaign(who, "봄맞이 10% 할인");
    await who.link("조건 변경");
    await who.fill("만료일", day(120));
    await who.fill("1인당 수량", "2장");
    await who.button("저장");
    await who.sees("변경 내용을 저장했습니다");
    assert.equal((await call("GET", "/v1/campaigns/spring")).expires_on, day(120));
  }],
  ["marketer", "이번 달 보고서", 4, 4, async (who) => {
    await who.link("보고서");
    await who.link("이번 달");
    await who.pick("캠페인", { label: "봄맞이 10% 할인" });
    await who.button("적용");
    const file = await who.file("엑셀용 CSV 내려받기");
    assert.match(file.name, /^spring-redemptions-/);
    assert.match(file.text, /주문-2001/);
  }],
  ["marketer", "곧 소진될 캠페인", 3, 3, async (who) => {
    await who.sees("20장 중 1장 남음");
    await who.link("금요일 특가");
    await who.link("쿠폰 추가");
    await who.fill(/^수량$/, "1백");
    await who.button("쿠폰 추가");
    await who.sees("쿠폰을 추가했습니다");
  }],
  ["marketer", "두 캠페인 멈추기", 4, 4, async (who) => {
    await who.link("캠페인");
    await who.tick("봄맞이 10% 할인 선택");
    await who.tick("금요일 특가 선택");
    await who.fill("선택한 캠페인: 사유", "문구 오류");
    await who.button("일시 중지");
    await who.sees("선택한 캠페인을 일시 중지했습니다");
    for (const id of ["spring", "friday"]) await call("PATCH", `/v1/campaigns/${id}`, { paused: false });
  }],
  ["marketer", "QR 시트 인쇄", 4, 4, async (who) => {
    await campaign(who, "뉴스레터 쿠폰");
    await who.link("코드 내려받기");
    await who.link("인쇄용 시트");
    assert.equal(await who.page.locator("svg.qr").count(), 100);
  }],
  ["support", "두 글자 틀린 코드", 4, 4, async (who, { haneul }) => {
    const other = (letter) => (letter === "7" ? "4" : "7");
    await who.search(other(haneul[0]) + haneul.slice(1, -1) + other(haneul.at(-1)));
    await who.sees("이 코드를 찾으셨나요?");
    await who.link(haneul);
    await who.link("기간 연장");
    await who.fill("새 만료일", day(150));
    await who.fill("사유", "배송 지연");
    await who.button("기간 연장");
    await who.sees("쿠폰 기간을 연장했습니다");
  }],
  ["support", "거부된 주문", 2, 2, async (who, { minji }) => {
    await who.search("주문-2002");
    await who.sees("코드는 맞지만 다른 고객의 쿠폰입니다");
    await who.link(minji);
    await who.sees("minji 고객이 보유하고 있으며");
  }],
  // The box costs a click: without it a mistyped customer got a coupon.
  ["support", "처음 온 고객에게 사과", 4, 3, async (who) => {
    await who.search("dain@example.com");
    await who.link("dain@example.com: 새 고객이면 쿠폰 지급");
    await who.pick("사유", { label: "배송 지연" });
    await who.tick("고객 ID를 확인했습니다");
    await who.button("쿠폰 지급");
    await who.sees("고객에게 쿠폰을 발급했습니다");
    await who.sees("고객 사과 쿠폰");
  }],
  ["support", "반품한 주문", 3, 4, async (who, { jiho }) => {
    await who.search("주문-2001");
    await who.sees(jiho);
    await who.link("사용 취소");
    await who.fill("사유", "반품");
    await who.button("사용 취소");
    await who.sees("사용을 취소했습니다");
  }],
  ["support", "다른 고객에게 간 쿠폰", 6, 7, async (who, { seoyeon }) => {
    await who.search("seoyeon");
    await who.link(seoyeon);
    await who.link("회수");
    await who.fill("사유", "잘못 지급");
    await who.button("회수");
    await who.link("고객에게 발급");
    await who.fill("고객", "seoyeon-park");
    await who.button("고객에게 발급");
    await who.sees("seoyeon-park 고객이 보유하고 있으며");
  }],
  ["support", "오늘 한 일", 1, null, async (who, { haneul, seoyeon }) => {
    await who.link("오늘 한 일");
    for (const code of [haneul, seoyeon]) await who.of("link", code).waitFor();
    await who.sees("배송 지연");
  }],
  ["operator", "실패하는 웹훅", 2, 3, async (who) => {
    await who.link(/^웹훅 .*연속 .*전송에 실패했습니다/);
    await who.sees("erp.example.com 주소를 찾을 수 없습니다");
    await who.button("일시 중지");
    await who.sees("웹훅을 일시 중지했습니다");
  }],
  ["operator", "지금 보관하기", 2, 2, async (who) => {
    await who.link("시스템 상태");
    await who.button("지금 보관하기");
    await who.sees("보관 작업을 시작합니다");
  }],
  ["operator", "지수가 오늘 바꾼 것", 2, null, async (who) => {
    await who.link("감사 기록");
    await who.link("marketer");
    await who.sees("캠페인 일시 중지");
    assert.equal(await who.page.getByText("admin:root").count(), 0);
  }],
  ["operator", "유출된 코드 막기", 4, 4, async (who) => {
    await campaign(who, "이전 쇼핑몰 쿠폰");
    await who.link("first-try");
    await who.fill("사유", "코드 유출");
    await who.button("일시 중지");
    await who.sees("일시 중지했습니다");
  }],
];

const failing = async () => {
  while (!((await call("GET", "/v1/webhooks/erp")).failures > 0)) await new Promise((done) => setTimeout(done, 200));
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const codes = await seed();
await failing();
const people = {};
// Without an admin nobody else gets an account.
for (const role of ["admin", "marketer", "support", "operator"]) {
  const home = await browser.newContext({ locale: "ko-KR", viewport: { width: 1440, height: 900 }, timezoneId: "Asia/Seoul" });
  const page = await home.newPage();
  await page.goto(process.env[role.toUpperCase()]);
  await page.fill("[name=password]", PASSWORD);
  await page.click("main button");
  await page.waitForURL(`${base}/console`);
  people[role] = new Person(page);
}
const wrong = [];
console.log("| who | task | clicks | at first | fields | pages | slowest | largest |\n|---|---|---|---|---|---|---|---|");
for (const [role, name, most, first, play] of TASKS.filter(([, name]) => !only || name === only)) {
  const who = people[role];
  await who.begin();
  try {
    await play(who, codes);
  } catch (error) {
    const said = await who.page.locator("main > .notice, main > .empty").allInnerTexts();
    wrong.push(`${name}: at ${decodeURIComponent(who.page.url())}: ${error}; the page says: ${said}`);
  }
  const { clicks, fields, pages, slowest, largest } = who;
  if (clicks > most) wrong.push(`${name}: ${clicks} clicks, at most ${most}`);
  if (clicks < most) wrong.push(`${name}: ${clicks} clicks: write this into TASKS in the place of ${most}`);
  console.log(`| ${role} | ${name} | ${clicks} | ${first ?? "a dead end"} | ${fields} | ${pages} | ${Math.round(slowest)} ms | ${(largest[1] / 1000).toFixed(1)} kB ${largest[0]} |`);
}
await browser.close();
console.log(wrong.join("\n"));
process.exit(wrong.length ? 1 : 0);
