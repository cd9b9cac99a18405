// @ts-check
/** Asking the pack's own routes. */
import { t } from "./words.js";

/**
 * Gives the decoded answer.
 *
 * @param {any} api the page's own
 * @param {string} path
 * @param {object | undefined} sent posted as JSON; without it the answer is only fetched
 * @returns {Promise<any>}
 * @throws when the server is not there or refuses; the message says why
 */
export async function ask(api, path, sent = undefined) {
  const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent) };
  const answer = await api.fetchApi(path, sent ? json : undefined);
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? t("The server answered {status}. Is it running?", { status: answer.status }));
  return told;
}
