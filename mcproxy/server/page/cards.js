// Listeners and upstreams: a card each.

const METHODS = {
  sasl: "SASL", token: "token", certificate: "client certificate", address: "source address", peer: "local user",
  none: "nobody has to log in",
};

function createCertificate() {
  const pill = make("span", { class: "pill" });
  const about = make("span");
  const until = make("time");
  return {
    node: make("li", {}, pill, make("span", { class: "quiet" }, about, " until ", until)),
    update({ key, expires, now }) {
      const { level: how, words } = expiry(expires, now);
      put(pill, words);
      level(pill, how);
      put(about, key);
      put(until, day(expires));
      attribute(until, "datetime", universal(expires));
    },
  };
}

function keepCertificates(list, certificates, now) {
  const dated = certificates.map((certificate) => ({ ...certificate, now }));
  keep(list, dated, ({ key }) => key, createCertificate);
  showFact(list, certificates.length > 0);
}

function createListener() {
  const name = make("h3", { dir: "auto" });
  const sessions = make("span", { class: "pill" });
  const addresses = make("ul", { class: "mono" });
  const encryption = make("span");
  const authentication = make("span");
  const allow = make("ul", { class: "mono" });
  const upstream = make("span", { dir: "auto" });
  const totals = make("span");
  const certificates = make("ul");
  const facts = make("dl", { class: "facts" });
  addFacts(facts, [
    ["Address", addresses],
    ["Encryption", encryption],
    ["Who may come", allow],
    ["Known by", authentication],
    ["Certificates", certificates],
    ["Upstream", upstream],
    ["Connections", totals],
  ]);
  const node = make("article", { class: "card" }, make("header", {}, name, sessions), facts);
  return {
    node,
    update(listener) {
      put(name, listener.name, 80);
      put(sessions, plural(listener.sessions, "session"));
      putWords(addresses, listener.addresses);
      put(encryption, listener.encryption);
      put(authentication, listener.authentication.map((method) => METHODS[method] ?? method).join(", "));
      const onlySockets = listener.addresses.every((address) => address.startsWith("unix:"));
      putWords(allow, listener.allow.length || onlySockets ? listener.allow : ["nobody"]);
      showFact(allow, !onlySockets);
      put(upstream, listener.upstream, 80);
      put(totals, `${count(listener.connections)} since the start, ${count(listener.refused)} refused`);
      keepCertificates(certificates, listener.certificates, listener.now);
    },
  };
}

function createPool() {
  const pill = make("span", { class: "pill" });
  const words = make("span", { class: "quiet", dir: "auto" });
  return {
    node: make("li", {}, pill, words),
    update(pool) {
      const missing = pool.obstacle !== null && pool.links < pool.wanted;
      level(pill, pool.links === 0 && missing ? "critical" : missing || pool.outdated ? "warning" : "good");
      put(pill, `${pool.protocol}: ${pool.links} of ${plural(pool.wanted, "link")}`);
      const outdated = pool.outdated ? `${count(pool.outdated)} by settings that a reload has replaced` : "";
      put(words, [pool.obstacle, outdated].filter(Boolean).join("; "));
    },
  };
}

function createUpstream() {
  const name = make("h3", { dir: "auto" });
  const engine = make("span", { class: "pill" });
  const address = make("span", { class: "mono", dir: "auto" });
  const links = make("ul");
  const security = make("span", { dir: "auto" });
  const failures = make("span");
  const certificates = make("ul");
  const facts = make("dl", { class: "facts" });
  addFacts(facts, [
    ["Address", address],
    ["Links", links],
    ["Security", security],
    ["Certificates", certificates],
    ["Failures", failures],
  ]);
  const node = make("article", { class: "card" }, make("header", {}, name, engine), facts);
  return {
    node,
    update(upstream) {
      put(name, upstream.name, 80);
      put(engine, upstream.engine);
      put(address, upstream.address);
      keep(links, upstream.pools, ({ protocol }) => protocol, createPool);
      showFact(links, upstream.pools.length > 0);
      put(security, `${upstream.tls ? "TLS" : "no TLS"}, ${upstream.login ?? "no login"}`);
      const lost = upstream.failures ? `${count(upstream.failures)} links lost or not made` : "none";
      put(failures, `${lost} since the start`);
      keepCertificates(certificates, upstream.certificates, upstream.now);
    },
  };
}

function showCards(status) {
  const dated = (items) => items.map((item) => ({ ...item, now: status.now }));
  keep(byId("listeners"), dated(status.listeners), ({ name }) => name, createListener);
  keep(byId("upstreams"), dated(status.upstreams), ({ name }) => name, createUpstream);
  put(byId("listeners-count"), count(status.listeners.length));
  put(byId("upstreams-count"), count(status.upstreams.length));
}
