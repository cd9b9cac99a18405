// @ts-check
/** What is said of the library's files. */
import { t } from "./words.js";

/** What tells files apart, in one line. */
export function described(/** @type {import("./library_client.js").Entry} */ { family, method, size, modified, leak }) {
  const told = leak ? t("leak {value}", { value: leak.exact.toPrecision(1) }) : "";
  return [family, bytes(size), day(modified), method, told].filter(Boolean).join(" · ");
}

/** A number of bytes as people read it. */
export function bytes(/** @type {number} */ size) {
  if (size < 1e6) return `${Math.ceil(size / 1e3)} kB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(1)} GB`;
}

/** A time in seconds since 1970 as a date. */
export function day(/** @type {number} */ seconds) {
  return new Date(seconds * 1000).toLocaleDateString();
}
