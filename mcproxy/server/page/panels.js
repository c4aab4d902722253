// The verdict, what is used of each limit, and the process itself.

const ICON_SHAPES = { good: "<circle cx='8' cy='8' r='6'/>", warning: "<path d='M8 1L15 15H1z'/>" };
const LEVEL_WORDS = { critical: "Critical", warning: "Warning", good: "Well" };
const ICON_COLOURS = { good: "%2317693f", warning: "%23b97700", critical: "%23a61b1b", waiting: "%23888888" };

function showIcon(how) {
  const shape = ICON_SHAPES[how] ?? "<path d='M2 2H14V14H2z'/>";
  const start = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='${ICON_COLOURS[how]}'>`;
  const picture = `${start}${shape}</svg>`;
  attribute(byId("icon"), "href", `data:image/svg+xml,${picture}`);
}

function createReason() {
  const pill = make("span", { class: "pill" });
  const words = make("span", { dir: "auto" });
  return {
    node: make("li", {}, pill, words),
    update(reason) {
      level(pill, reason.level);
      put(pill, LEVEL_WORDS[reason.level] ?? reason.level);
      put(words, reason.words, 300);
    },
  };
}

function showVerdict({ verdict }) {
  level(byId("verdict"), verdict.level);
  put(byId("sentence"), verdict.sentence, 300);
  put(byId("detail"), verdict.detail, 300);
  keep(byId("reasons"), verdict.reasons, ({ words }) => words, createReason);
  showIcon(verdict.level);
  document.title = verdict.level === "good" ? "well · mcproxy" : `${LEVEL_WORDS[verdict.level] ?? "?"} · mcproxy`;
}

const NEARLY_FULL = 0.8;
const FULL = 0.95;

function createMeter({ name }) {
  const figures = make("span");
  const fill = make("div");
  const range = { "aria-valuemin": 0, "aria-valuemax": 100 };
  const bar = make("div", { class: "bar", role: "meter", "aria-label": name, ...range }, fill);
  const node = make("div", { class: "meter" }, make("div", {}, make("span", { class: "quiet" }, name), figures), bar);
  return {
    node,
    update({ share, words }) {
      const warning = share >= FULL ? ", full" : share >= NEARLY_FULL ? ", nearly full" : "";
      put(figures, words + warning);
      level(node, share >= FULL ? "critical" : share >= NEARLY_FULL ? "warning" : "good");
      fill.style.width = `${Math.min(100, share * 100)}%`;
      attribute(bar, "aria-valuenow", Math.round(share * 100));
      attribute(bar, "aria-valuetext", words + warning);
    },
  };
}

function showSaturation({ saturation }) {
  const meters = [];
  for (const [key, name, write] of [
    ["connections", "Connections", count],
    ["buffered_bytes", "Buffers", bytes],
    ["descriptors", "File descriptors", count],
  ]) {
    const [used, limit] = [saturation[key], saturation[`${key}_limit`]];
    if (!Number.isFinite(used) || !(limit > 0)) continue;
    meters.push({ name, share: used / limit, words: `${write(used)} of ${write(limit)}, ${percent(used / limit)}` });
  }
  if (Number.isFinite(saturation.busy)) {
    meters.push({ name: "Processor", share: saturation.busy, words: `busy ${percent(saturation.busy)} of the time` });
  }
  keep(byId("saturation"), meters, ({ name }) => name, createMeter);
}

const processFacts = {
  state: make("span"), uptime: make("span"), workers: make("span"), reload: make("span", { dir: "auto" }),
  generation: make("span"), admin: make("ul"), access: make("span"), certificates: make("ul"),
};

addFacts(byId("process"), [
  ["State", processFacts.state],
  ["Last reload", processFacts.reload],
  ["Configuration", processFacts.generation],
  ["Workers", processFacts.workers],
  ["Running for", processFacts.uptime],
  ["Admin port", make("div", {}, processFacts.admin, processFacts.access)],
  ["Its certificates", processFacts.certificates],
]);

function reloadWords({ last_reload: reload, now }) {
  if (reload === null) return "none since the start";
  const when = `${clock(reload.time, now)} (${duration(now - reload.time)} ago)`;
  if (reload.result === "success") return `succeeded at ${when}`;
  return `failed at ${when}; what was read before serves on: ${reload.problem ?? "the log says why"}`;
}

function showProcess(status) {
  const facts = processFacts;
  const { workers } = status;
  put(facts.state, status.draining ? "draining" : status.ready === null ? "ready" : `not ready: ${status.ready}`, 300);
  put(facts.uptime, `${duration(status.now - status.started)}, since ${clock(status.started, status.now)}`);
  const restarts = workers.restarts ? `, ${plural(workers.restarts, "restart")} since the start` : "";
  const silent = workers.silent ? `, ${count(workers.silent)} of them silent` : "";
  put(facts.workers, `${count(workers.alive)} of ${count(workers.configured)} alive${silent}${restarts}`);
  put(facts.reload, reloadWords(status), 400);
  const how = status.generation === 1 ? "as read at the start" : "changed since the start";
  put(facts.generation, `generation ${count(status.generation)}, ${how}`);
  putWords(facts.admin, status.admin.addresses);
  put(facts.access, status.admin.access, 300);
  keepCertificates(facts.certificates, status.admin.certificates, status.now);
}
