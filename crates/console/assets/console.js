// What moves: the keyboard, live numbers, the live tail and imports. Every page works
// without this file, except for the live tail.

// The zone of times for whoever has chosen none.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone?.replaceAll("/", ":");
if (zone) document.cookie = `couponry_browser_zone=${zone}; Path=/console; SameSite=Strict; Max-Age=31536000`;

const typing = () => document.activeElement?.matches("input, textarea, select, [contenteditable]");

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
  if (event.key === "/") {
    const box = document.querySelector("#ask, #find");
    if (box) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  }
  if (event.key === "?") document.querySelector("#help")?.showModal();
});

// Escape closes what is open.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll(".person[open], .menu[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// The numbers of today.
const live = document.querySelector("[data-live]");
if (live) {
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.live, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      for (const [name, text] of Object.entries(await answer.json())) {
        const place = live.querySelector(`[data-of="${name}"]`);
        if (place && place.textContent !== text) place.textContent = text;
      }
    } catch {
      // The server restarts, or the session is over: the next look finds out.
    }
  };
  setInterval(look, 5000);
  document.addEventListener("visibilitychange", look);
}

// A part of a page that changes for a while: it is asked for again until it says that it is done.
const refresh = async () => {
  const part = document.querySelector("[data-refresh]");
  if (!part) return;
  if (!document.hidden) {
    try {
      const answer = await fetch(location.pathname, { credentials: "same-origin", redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById(part.id);
      if (answer.ok && next) part.replaceWith(next);
    } catch {
      // As for the numbers of today.
    }
  }
  setTimeout(refresh, 3000);
};
setTimeout(refresh, 3000);

// The live tail.
const button = document.querySelector("[data-tail]");
if (button) {
  const rows = document.querySelector("#tail");
  let source;
  const link = (cell, text, href) => {
    const inner = document.createElement("bdi");
    inner.textContent = text;
    if (!href) return cell.append(inner);
    const a = document.createElement("a");
    a.href = href;
    a.append(inner);
    cell.append(a);
  };
  const show = (event) => {
    const { at, type, code, campaign, user, actor } = JSON.parse(event.data);
    const row = document.createElement("tr");
    const cells = [
      [at], [type],
      [code, code && `/console/coupons/${encodeURIComponent(code)}`],
      [campaign, campaign && `/console/campaigns/${encodeURIComponent(campaign)}`],
      [user, user && `/console/customers/${encodeURIComponent(user)}`],
      [actor],
    ];
    for (const [text, href] of cells) {
      const cell = row.insertCell();
      if (text) link(cell, text, href);
    }
    rows.prepend(row);
    while (rows.rows.length > 200) rows.deleteRow(-1);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    if (source) {
      source.close();
      source = undefined;
    } else {
      source = new EventSource(button.dataset.tail);
      source.addEventListener("message", show);
    }
    button.textContent = source ? button.dataset.stop : button.dataset.start;
    button.setAttribute("aria-pressed", String(Boolean(source)));
  });
}

// An import. The form keeps its file and what was chosen, whatever the answer: only the parts with the columns and with
// the result are replaced. If the connection breaks, the file is sent again: what has arrived of it is imported already.
const upload = document.querySelector("[data-upload]");
if (upload) {
  const { file, batch_id: batch, csrf } = upload.elements;
  const place = upload.querySelector(".progress");
  const [bar, says] = [place.querySelector("progress"), place.querySelector("output")];
  const signedOut = document.querySelector("#signed-out");
  const TRIES = 6;
  const blank = document.querySelector("#guide").cloneNode(true);
  let newest;
  const stays = (event) => event.preventDefault();
  const controls = () => [...document.querySelectorAll("#guide :is(select, input)")];
  // The server reads the file as the last part of the form; people begin with it.
  upload.prepend(file.closest("label"), place);
  const fields = async (isHead) => {
    const [chosen, all] = [file.files[0], new FormData(upload)];
    const isWorkbook = (await chosen.slice(0, 2).text().catch(() => "")) === "PK";
    all.delete("file");
    all.append("file", isHead && !isWorkbook ? chosen.slice(0, upload.dataset.head) : chosen, chosen.name);
    return all;
  };
  const replace = (page, from) => {
    const at = controls().indexOf(from);
    batch.value ||= page.querySelector("[name=batch_id]").value;
    for (const id of ["guide", "send"]) document.getElementById(id).replaceWith(page.getElementById(id));
    const next = controls()[at] ?? document.querySelector("#guide > .notice, #guide > .panel:last-of-type .notice");
    if (from !== file) next?.focus();
  };
  // The token of a form is that of a session: whoever has signed in again has another one.
  const renew = async () => {
    const page = new DOMParser().parseFromString(await (await fetch(upload.action)).text(), "text/html");
    csrf.value = page.querySelector("[data-upload] [name=csrf]")?.value ?? csrf.value;
  };
  const answered = ({ status, response: page, responseURL }, from) => {
    removeEventListener("beforeunload", stays);
    place.hidden = true;
    bar.value = 0;
    for (const button of upload.querySelectorAll("#send button")) button.disabled = false;
    signedOut.hidden = true;
    if (page?.getElementById("guide")) return replace(page, from);
    if (responseURL.includes("/batches/")) return location.assign(responseURL);
    if (status === 200) {
      signedOut.hidden = false;
      signedOut.scrollIntoView({ block: "center" });
      return addEventListener("focus", renew, { once: true });
    }
    place.hidden = false;
    says.value = page?.querySelector("h1")?.textContent ?? status;
  };
  const send = (to, all, tried, from) => {
    newest?.abort();
    const [begun, request] = [Date.now(), new XMLHttpRequest()];
    newest = request;
    request.open("POST", to);
    request.responseType = "document";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.max = total;
      bar.value = loaded;
      const left = Math.round(((Date.now() - begun) / loaded) * (total - loaded) / 1000);
      says.value = `${Math.floor((100 * loaded) / total)} % · ${left} s`;
    });
    request.addEventListener("load", () => answered(request, from));
    request.addEventListener("error", () => {
      if (tried === TRIES) {
        removeEventListener("beforeunload", stays);
        says.value = upload.dataset.ended;
        for (const button of upload.querySelectorAll("#send button")) button.disabled = false;
        return;
      }
      says.value = upload.dataset.broken;
      setTimeout(() => request === newest && send(to, all, tried + 1, from), 1000 * 2 ** tried);
    });
    place.hidden = false;
    request.send(all);
  };
  upload.addEventListener("submit", async (event) => {
    event.preventDefault();
    addEventListener("beforeunload", stays);
    const all = await fields(false);
    for (const button of upload.querySelectorAll("#send button")) button.disabled = true;
    send(event.submitter.formAction, all, 0);
  });
  upload.addEventListener("change", async ({ target }) => {
    if (!file.files.length) return;
    if (target === file) {
      // What was chosen for another file says nothing about this one.
      batch.value = batch.defaultValue;
      document.querySelector("#guide").replaceWith(blank.cloneNode(true));
    }
    send(`${upload.action}?for=columns`, await fields(true), 0, target);
  });
}

for (const input of document.querySelectorAll("[data-select]")) {
  input.addEventListener("focus", () => input.select());
}

for (const copies of document.querySelectorAll("[data-copy]")) {
  copies.hidden = !navigator.clipboard;
  copies.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(copies.dataset.copy).value);
    copies.textContent += " ✓";
    copies.disabled = true;
  });
}

for (const prints of document.querySelectorAll("[data-print]")) {
  prints.hidden = false;
  prints.addEventListener("click", () => print());
}

for (const asks of document.querySelectorAll("[data-confirm]")) {
  asks.addEventListener("click", (event) => {
    if (!confirm(asks.dataset.confirm)) event.preventDefault();
  });
}
