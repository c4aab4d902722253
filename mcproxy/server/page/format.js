// How figures, times and strangers' words are written. Nothing here touches the page.

const SECONDS = 1;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What is not to be seen, or turns the direction of what follows it: controls, format characters, odd spaces, halves
    of characters, private ones. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]|(?! )\p{Zs}/gu;

/** Marks on one letter, of which some writing needs two or three: more would be piled up over the lines around. */
const PILED_UP = /(\p{M}{3})\p{M}+/gu;

/** The text with everything unseen spelled out, as the log does it. */
function visible(text) {
  const spelled = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
  return String(text).replace(UNSEEN, spelled).replace(PILED_UP, "$1…");
}

/** At most `limit` characters, and an ellipsis where some are missing. */
function cut(text, limit) {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** A number of things: 9,999 or 12.3K. */
function count(value) {
  return Math.abs(value) < 10_000 ? whole.format(value) : short.format(value);
}

/** So many a second: 0.25, 12, 9,999 or 12.3K. */
function rate(value) {
  return value !== 0 && Math.abs(value) < 10 ? fine.format(value) : count(value);
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1.5 MiB. */
function bytes(value) {
  let power = 0;
  while (Math.abs(value) >= 1000 && power < BYTE_UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${rate(value)} ${BYTE_UNITS[power]}`;
}

/** 0.973 -> 97.3 %. Neither 100 nor 0 is said of what is only nearly so. */
function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
}

function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A length of time in its largest unit or two: 45 s, 5 min, 3 h 20 min, 12 days. */
function duration(seconds) {
  if (seconds < MINUTE) return `${Math.max(0, Math.floor(seconds / SECONDS))} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) {
    const minutes = Math.floor((seconds % HOUR) / MINUTE);
    return `${Math.floor(seconds / HOUR)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return plural(Math.floor(seconds / DAY), "day");
}

const two = (number) => String(number).padStart(2, "0");

function day(time) {
  const date = new Date(time * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The time of day here, with the date before it if that is another than `now`'s. */
function clock(time, now) {
  const date = new Date(time * 1000);
  const hours = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return day(time) === day(now) ? hours : `${day(time)} ${hours}`;
}

/** As in the log: the time in UTC. */
function universal(time) {
  return new Date(time * 1000).toISOString();
}

const EXPIRES_SOON = 30 * DAY;
const EXPIRES_VERY_SOON = 7 * DAY;

/** What a certificate's end means now: a level and words. */
function expiry(expires, now) {
  const left = expires - now;
  if (left < 0) return { level: "critical", words: `expired ${duration(-left)} ago` };
  const words = left < DAY ? `${duration(left)} left` : `${plural(Math.floor(left / DAY), "day")} left`;
  if (left < EXPIRES_VERY_SOON) return { level: "critical", words: `only ${words}` };
  if (left < EXPIRES_SOON) return { level: "warning", words: `only ${words}` };
  return { level: "good", words };
}

/** The least of 1, 2, 5 times a power of ten that is not below `value`: where a scale ends. */
function roundedUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * 0.9999) * power;
}
