// The rates of the last five minutes as small plots. A scale begins at 0 and ends at a round number.

const PLOT_POINTS = 150;
const PLOT_WIDTH = 300;
const PLOT_HEIGHT = 84;

const PLOTS = [
  { title: "Requests", series: [["requests", "requests"]], write: rate },
  { title: "Hit ratio", series: [["hits", "hits"], ["misses", "misses"]], write: rate, current: hitRatio },
  { title: "Logins", series: [["logins", "logins"], ["failed_logins", "failed"]], write: rate },
  { title: "Refused", series: [["refused", "refused"]], write: rate },
  { title: "Traffic", series: [["received_bytes", "received"], ["sent_bytes", "sent"]], write: bytes },
];

function hitRatio(latest) {
  const asked = latest.hits + latest.misses;
  return asked > 0 ? percent(latest.hits / asked) : "no gets";
}

/** Of bytes the scale is round in KiB, MiB and so on. */
function scaleEnd(highest, write) {
  if (write !== bytes) return roundedUp(highest);
  let unit = 1;
  while (highest / unit >= 1000) unit *= 1024;
  return roundedUp(highest / unit) * unit;
}

/** The line through the points, the newest at the right edge. A point that is not a number is a gap. */
function linePath(points, end) {
  const step = PLOT_WIDTH / (PLOT_POINTS - 1);
  let path = "";
  let pen = false;
  points.forEach((value, index) => {
    if (!Number.isFinite(value)) {
      pen = false;
      return;
    }
    const x = PLOT_WIDTH - (points.length - 1 - index) * step;
    const y = PLOT_HEIGHT * (1 - Math.min(1, Math.max(0, value / end)));
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  });
  return path;
}

function areaPath(points, end) {
  if (points.length < 2 || !points.every(Number.isFinite)) return "";
  const left = PLOT_WIDTH - ((points.length - 1) * PLOT_WIDTH) / (PLOT_POINTS - 1);
  return `${linePath(points, end)}L${PLOT_WIDTH} ${PLOT_HEIGHT}L${left.toFixed(1)} ${PLOT_HEIGHT}Z`;
}

function createPlot(plot) {
  const current = make("span", { class: "current" });
  const area = make("path", { class: "area" });
  const lines = plot.series.map((_, index) => make("path", { class: index ? "second" : "first" }));
  const grid = [0, 0.5, 1].map((share) => {
    const y = PLOT_HEIGHT * share;
    return make("line", { class: share === 1 ? "base" : "grid", x1: 0, x2: PLOT_WIDTH, y1: y, y2: y });
  });
  const picture = make(
    "svg",
    { viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    ...grid,
    area,
    ...lines,
  );
  const scale = [0, 1, 2].map(() => make("span"));
  const times = [make("span", {}, "5 min ago"), make("span", {}, "now")];
  const values = plot.series.map(() => make("span"));
  const legend = plot.series.map(([, name], index) => {
    const sample = make("svg", { viewBox: "0 0 20 8", "aria-hidden": "true" });
    sample.append(make("path", { class: index ? "second" : "first", d: "M0 4H20" }));
    return make("li", {}, sample, make("span", { class: "quiet" }, name), values[index]);
  });
  const node = make(
    "figure",
    { class: "plot" },
    make("figcaption", {}, make("span", {}, plot.title), current),
    make(
      "div",
      { class: "chart" },
      picture,
      make("div", { class: "scale", "aria-hidden": "true" }, ...scale),
      make("div", { class: "times", "aria-hidden": "true" }, ...times),
    ),
    make("ul", { class: "legend" }, ...legend),
  );

  function update({ rates }) {
    const all = plot.series.map(([key]) => (rates.series[key] ?? []).slice(-PLOT_POINTS));
    const known = all.flat().filter(Number.isFinite);
    const highest = Math.max(0, ...known);
    const end = scaleEnd(highest, plot.write);
    const latest = {};
    all.forEach((points, index) => {
      attribute(lines[index], "d", linePath(points, end));
      const last = points.at(-1);
      latest[plot.series[index][0]] = Number.isFinite(last) ? last : 0;
      put(values[index], `${plot.write(latest[plot.series[index][0]])}/s`);
    });
    attribute(area, "d", areaPath(all[0], end));
    const now = plot.current ? plot.current(latest) : `${plot.write(latest[plot.series[0][0]])}/s`;
    put(current, known.length ? now : "no data yet");
    current.classList.toggle("none", known.length === 0);
    [end, end / 2, 0].forEach((value, index) => put(scale[index], plot.write(value)));
    const spoken = plot.series.map(([key, name]) => `${name} ${plot.write(latest[key])} a second`).join(", ");
    const peak = `highest ${plot.write(highest)}`;
    attribute(picture, "aria-label", `${plot.title}, the last five minutes: now ${spoken}; ${peak}.`);
  }
  return { node, update };
}

function showRates(status) {
  const { rates } = status;
  keep(byId("rates"), PLOTS.map((plot) => ({ plot, rates })), ({ plot }) => plot.title, ({ plot }) => createPlot(plot));
}
