// What moves: the keyboard, live numbers, the live tail and the progress of an upload. Every page works
// without this file, except for the live tail.

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

// An upload with its progress. The form keeps its file, so that a check can be followed by the import, and so that
// the file goes on when the connection broke: what has arrived of it is imported already.
const upload = document.querySelector("[data-upload]");
if (upload) {
  const place = upload.querySelector(".progress");
  const [bar, says] = [place.querySelector("progress"), place.querySelector("output")];
  const TRIES = 6;
  const stays = (event) => event.preventDefault();
  const send = (fields, tried) => {
    const begun = Date.now();
    const request = new XMLHttpRequest();
    request.open("POST", upload.action);
    request.responseType = "document";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.max = total;
      bar.value = loaded;
      const left = Math.round(((Date.now() - begun) / loaded) * (total - loaded) / 1000);
      says.value = `${Math.floor((100 * loaded) / total)} % · ${left} s`;
    });
    request.addEventListener("load", () => {
      removeEventListener("beforeunload", stays);
      place.hidden = true;
      const found = request.response?.querySelector("#checked");
      if (request.status === 200 && found && request.responseURL === upload.action) {
        document.querySelector("#checked").replaceWith(found);
        found.scrollIntoView({ block: "start" });
      } else if (request.status === 200) {
        location.assign(request.responseURL);
      } else {
        document.querySelector("main").replaceWith(request.response.querySelector("main"));
      }
    });
    request.addEventListener("error", () => {
      if (tried === TRIES) {
        removeEventListener("beforeunload", stays);
        says.value = upload.dataset.ended;
        return;
      }
      says.value = upload.dataset.broken;
      setTimeout(send, 1000 * 2 ** tried, fields, tried + 1);
    });
    place.hidden = false;
    request.send(fields);
  };
  upload.addEventListener("submit", (event) => {
    event.preventDefault();
    addEventListener("beforeunload", stays);
    send(new FormData(upload), 0);
  });
}

for (const input of document.querySelectorAll("[data-select]")) {
  input.addEventListener("focus", () => input.select());
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
