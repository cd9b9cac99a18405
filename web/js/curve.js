// @ts-check
/**
 * The curve of a statistic over the steps, and the words beside it.
 *
 * @typedef {object} Progress what the server tells of a step
 * @property {string} concept
 * @property {number} step
 * @property {number} max_steps
 * @property {number | null} statistic null where nothing is trained
 * @property {number} tau the statistic's threshold for stopping
 * @property {number} evaluations
 * @property {number | null} seconds_left
 * @property {string} unit what is counted where nothing is trained
 */
import { t } from "./words.js";

const MOST = 400; // points; more cannot be told apart

/** The steps of one training so far, with the new one. @returns {Progress[]} */
export function follow(/** @type {Progress[]} */ before, /** @type {Progress} */ now) {
  if (now.statistic === null) return [];
  const last = before.at(-1);
  const goesOn = last && last.concept === now.concept && last.step < now.step;
  const all = goesOn ? [...before, now] : [now];
  return all.length > MOST ? all.filter((_, at) => at % 2 === 0 || at === all.length - 1) : all;
}

/** Where the curve and its threshold lie in a box, logarithmic, with room above and below. */
export function shape(/** @type {Progress[]} */ steps, /** @type {number} */ width, /** @type {number} */ height) {
  const { tau, max_steps: most } = steps[steps.length - 1];
  const level = (/** @type {number | null} */ value) => Math.log10(Math.max(value ?? 0, 1e-6));
  const levels = [tau, ...steps.map((at) => at.statistic)].map(level);
  const [low, high] = [Math.min(...levels) - 0.1, Math.max(...levels) + 0.1];
  const y = (/** @type {number | null} */ value) => round(height * (1 - (level(value) - low) / (high - low)));
  const points = steps.map((at) => `${round((width * at.step) / Math.max(most, 1))},${y(at.statistic)}`);
  return { points: points.join(" "), threshold: y(tau) };
}

/** One line that says where it stands. */
export function words(/** @type {Progress} */ at) {
  const { concept, step, max_steps, statistic, tau, evaluations, seconds_left } = at;
  if (statistic === null) return t("{concept}: {step} of {max_steps} {unit}", { concept, step, max_steps, unit: t(at.unit) });
  const now = statistic.toPrecision(2);
  const told = t("{concept}: step {step}/{max_steps} · correlation {now} (stops at {tau}) · {evaluations} evaluations", { concept, step, max_steps, now, tau, evaluations });
  return seconds_left === null ? told : `${told} · ${t("up to {time} left", { time: duration(seconds_left) })}`;
}

function duration(/** @type {number} */ seconds) {
  const whole = Math.ceil(seconds);
  if (whole < 60) return t("{seconds} s", { seconds: whole });
  return t("{minutes} min {seconds} s", { minutes: Math.floor(whole / 60), seconds: whole % 60 });
}

function round(/** @type {number} */ value) {
  return Math.round(value * 10) / 10;
}
