// Puts newer parts of the page in the place of those shown, without moving what somebody reads. The page is whole without it.
"use strict";

const EVERY_MS = 5000;
const GIVE_UP_MS = 10000;

const note = document.getElementById("note");
const pause = document.getElementById("pause");
const parts = new Map();
let isPaused = false;
let timer = 0;

function say(words) {
  // Only what is new is read out.
  if (note.textContent !== words) {
    note.textContent = words;
  }
}

function isBeingRead(part) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
}

function put(part, fresh) {
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const open = Array.from(part.querySelectorAll("details[open]"), (details) => details.id);
  part.replaceChildren(...fresh.childNodes);
  for (const id of open) {
    const details = document.getElementById(id);
    if (details !== null) {
      details.open = true;
    }
  }
  if (focused !== "") {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

function take(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (fresh.documentElement.dataset.version !== document.documentElement.dataset.version) {
    location.reload();
    return;
  }
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const newer = fresh.getElementById(part.id);
    if (newer === null || parts.get(part.id) === newer.innerHTML || isBeingRead(part)) {
      continue;
    }
    parts.set(part.id, newer.innerHTML);
    put(part, newer);
  }
}

async function refresh() {
  clearTimeout(timer);
  if (!isPaused && !document.hidden) {
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
      if (!answer.ok) {
        throw new Error(`status ${answer.status}`);
      }
      take(await answer.text());
      say("Live");
    } catch {
      say("Out of date: cdn-usaged does not answer");
    }
  }
  timer = setTimeout(refresh, EVERY_MS);
}

pause.hidden = false;
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  say(isPaused ? "Paused" : "Live");
  if (!isPaused) {
    refresh();
  }
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    refresh();
  }
});
for (const part of document.querySelectorAll("[data-part]")) {
  parts.set(part.id, part.innerHTML);
}
say("Live");
timer = setTimeout(refresh, EVERY_MS);
