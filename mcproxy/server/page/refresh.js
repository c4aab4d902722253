// Asks for /status.json every two seconds, one question at a time, and shows what comes. When nothing comes, the last
// figures stay and the page says since when they are old.

const EVERY_MILLISECONDS = 2000;
const PATIENCE_MILLISECONDS = 5000;

let lastAnswer = null;
let lastSeen = null;
let timer = null;
let asking = false;

/** The status. Throws an Error whose message says why there is none. */
async function ask() {
  let answer;
  let text;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    // Not relative to this page's address, which may have a password in it: of such a one a browser asks nothing.
    answer = await fetch(`${location.origin}/status.json`, { cache: "no-store", credentials: "same-origin", signal });
    text = await answer.text();
  } catch (failure) {
    throw new Error(failure.name === "TimeoutError" ? "it does not answer in time" : "it can't be reached");
  }
  if (answer.status === 401) throw new Error("it wants a login again (status 401): load this page anew");
  if (!answer.ok) throw new Error(`it answered with status ${answer.status}`);
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("its answer can't be read");
  }
}

function display(status) {
  show(byId("content"), true);
  showVerdict(status);
  showRates(status);
  showCards(status);
  showPrincipals(status);
  showRefusals(status);
  showSaturation(status);
  showProcess(status);
  put(byId("version"), status.version, 40);
  attribute(byId("main"), "aria-busy", "false");
}

function found(status) {
  display(status);
  lastAnswer = status;
  lastSeen = Date.now() / 1000;
  show(byId("lost"), false);
  show(byId("verdict"), true);
  put(byId("lost-sentence"), "");
  document.body.classList.remove("stale");
  level(byId("pulse-dot"), "good");
  put(byId("pulse"), `updated ${clock(lastSeen, lastSeen)}`);
}

function lost(why) {
  const now = Date.now() / 1000;
  const since = lastSeen === null ? "" : ` since ${clock(lastSeen, now)}`;
  show(byId("lost"), true);
  put(byId("lost-sentence"), `No answer from mcproxy${since}: ${why}.`, 300);
  const old = lastSeen === null ? "" : `What is below is ${duration(now - lastSeen)} old. `;
  put(byId("lost-detail"), `${old}This page keeps asking.`);
  show(byId("verdict"), lastAnswer !== null);
  document.body.classList.toggle("stale", lastAnswer !== null);
  level(byId("pulse-dot"), "critical");
  put(byId("pulse"), "no connection");
  showIcon("critical");
  document.title = "no answer · mcproxy";
}

async function refresh() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    found(await ask());
  } catch (failure) {
    lost(failure.message);
  } finally {
    asking = false;
    timer = setTimeout(refresh, EVERY_MILLISECONDS);
  }
}

put(byId("where"), location.host);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
