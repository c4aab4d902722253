// Who is there, and who was turned away.

function createPrincipal() {
  const name = make("span", { dir: "auto" });
  const kind = make("span", { class: "quiet" });
  const sessions = make("td", { class: "number" });
  const requests = make("td", { class: "number" });
  const hits = make("td", { class: "number" });
  const denied = make("span");
  const node = make(
    "tr",
    {},
    make("th", { scope: "row" }, name, " ", kind),
    sessions,
    requests,
    hits,
    make("td", { class: "number" }, denied),
  );
  return {
    node,
    update(principal) {
      put(name, principal.name, 80);
      put(kind, principal.kind === principal.name ? "" : principal.kind);
      put(sessions, count(principal.sessions));
      put(requests, count(principal.requests));
      const asked = principal.hits + principal.misses;
      put(hits, asked ? percent(principal.hits / asked) : "–");
      put(denied, count(principal.denied));
      denied.className = principal.denied ? "alarm" : "";
    },
  };
}

function showPrincipals(status) {
  const busiest = [...status.principals].sort(
    (one, other) => other.sessions - one.sessions || other.requests - one.requests || (one.name < other.name ? -1 : 1),
  );
  keep(byId("principals"), busiest, ({ kind, name }) => `${kind}:${name}`, createPrincipal);
  show(byId("principals-none"), busiest.length === 0);
  show(byId("principals-table"), busiest.length > 0);
  const open = status.listeners.reduce((sum, listener) => sum + listener.sessions, 0);
  const more = status.principals_left_out;
  const rest = more ? `; ${count(more)} further principals are not listed` : "";
  put(byId("principals-count"), `${count(open)} open, by principal${rest}`);
}

const EVENTS = {
  connection_refused: "Connection refused",
  login_failed: "Login failed",
  login_refused: "Login refused",
  request_refused: "Request refused",
  session_closed: "Session closed",
  session_ended_by_reload: "Session ended by a reload",
  admin_connection_refused: "Connection to the admin port refused",
  admin_request_refused: "Request to the admin port refused",
  saslauthd_unavailable: "No answer from saslauthd",
  own_links_in_use: "No link of its own left",
};

/** An event of the log in words: "upstream_link_lost" -> "Upstream link lost", unless it is better known. */
function eventWords(event) {
  if (Object.hasOwn(EVENTS, event)) return EVENTS[event];
  const words = String(event).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function createRefusal() {
  const time = make("time");
  const what = make("p", { class: "what" });
  const reason = make("p", { dir: "auto" });
  const who = make("td", { role: "cell", dir: "auto" });
  const source = make("p", { class: "mono", dir: "auto" });
  const listener = make("p", { class: "quiet", dir: "auto" });
  const where = make("td", { role: "cell" }, source, listener);
  const node = make(
    "tr",
    { role: "row" },
    make("td", { role: "cell" }, time),
    make("td", { role: "cell" }, what, reason),
    who,
    where,
  );
  return {
    node,
    update(refusal) {
      putTime(time, refusal.time, refusal.now);
      put(what, eventWords(refusal.event) + (refusal.count > 1 ? `, ${count(refusal.count)} times` : ""));
      put(reason, refusal.reason ?? "", 240);
      put(who, refusal.principal ?? "");
      put(source, refusal.source ?? "");
      put(listener, refusal.listener ?? "");
    },
  };
}

function showRefusals(status) {
  const dated = status.refusals.map((refusal) => ({ ...refusal, now: status.now }));
  const keyOf = ({ event, ...about }) =>
    JSON.stringify([event, about.listener, about.source, about.principal, about.reason]);
  keep(byId("refusals"), dated, keyOf, createRefusal);
  show(byId("refusals-none"), dated.length === 0);
  show(byId("refusals-table"), dated.length > 0);
}
