// @ts-check
/** Asking the pack's own routes. */
import { t } from "./words.js";

/**
 * Gives the decoded answer.
 *
 * @param {any} api the page's own
 * @param {string} path
 * @param {object | undefined} sent posted as JSON, or as it is where it is a file; without it the
 *   answer is only fetched
 * @returns {Promise<any>}
 * @throws when the server is not there or refuses; the message says why
 */
export async function ask(api, path, sent = undefined) {
  const [type, body] = sent instanceof Blob ? [sent.type, sent] : ["application/json", JSON.stringify(sent)];
  const posted = { method: "POST", headers: { "Content-Type": type }, body };
  const answer = await api.fetchApi(path, sent ? posted : undefined);
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? t("The server answered {status}. Is it running?", { status: answer.status }));
  return told;
}
