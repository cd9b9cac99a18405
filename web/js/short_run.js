// @ts-check
/** A run of our own, in front of all others, whose result is waited for. */

const PAUSE = 2000; // milliseconds between two looks, in case no message comes

/**
 * @param {any} api the page's own
 * @param {Record<string, any>} prompt as the server runs it
 * @param {string} node the id of the one whose output is wanted
 * @param {(done: number, all: number) => void} [progress] is told how far it is
 * @returns {Promise<any>} what the node shows
 * @throws when the server refuses it, or it fails, or is cancelled; the message says why
 */
export async function shortRun(api, prompt, node, progress = () => {}) {
  const body = JSON.stringify({ client_id: api.clientId ?? "", prompt, front: true });
  const answer = await api.fetchApi("/prompt", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(refusal(told) || String(answer.status));
  const hear = (/** @type {any} */ { detail }) => { if (detail?.prompt_id === told.prompt_id) progress(detail.value, detail.max); };
  api.addEventListener("progress", hear);
  try {
    return await outcome(api, told.prompt_id, node);
  } finally {
    api.removeEventListener("progress", hear);
  }
}

async function outcome(/** @type {any} */ api, /** @type {string} */ run, /** @type {string} */ node) {
  const entry = await finished(api, run);
  const output = entry?.outputs?.[node];
  if (output) return output;
  throw new Error(failure(entry?.status));
}

/** The history's entry of a run; none where it was taken off the queue before it began. */
async function finished(/** @type {any} */ api, /** @type {string} */ run) {
  for (;;) {
    await ended(api, run);
    const entry = await done(api, run);
    if (entry) return entry;
    // Between the two answers it may have come to its end: the history has it then.
    if (!(await waiting(api, run))) return done(api, run);
  }
}

async function done(/** @type {any} */ api, /** @type {string} */ run) {
  return (await get(api, `/history/${run}`))[run];
}

/** Whether a run has still to be done, or is being done. */
async function waiting(/** @type {any} */ api, /** @type {string} */ run) {
  const { queue_running: running = [], queue_pending: pending = [] } = await get(api, "/queue");
  return [...running, ...pending].some((/** @type {any} */ each) => each[1] === run);
}

async function get(/** @type {any} */ api, /** @type {string} */ path) {
  return (await api.fetchApi(path)).json();
}

/** Waits for a message that a run has come to its end, but not for ever. */
function ended(/** @type {any} */ api, /** @type {string} */ run) {
  const ends = ["execution_success", "execution_error", "execution_interrupted"];
  return new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
    const hear = (/** @type {any} */ { detail }) => { if (detail?.prompt_id === run) end(); };
    const end = () => {
      clearTimeout(due);
      ends.forEach((name) => api.removeEventListener(name, hear));
      resolve();
    };
    const due = setTimeout(end, PAUSE);
    ends.forEach((name) => api.addEventListener(name, hear));
  });
}

/** Why the server did not take it: the first reason of a node says more than the whole. */
function refusal(/** @type {any} */ told) {
  const [first] = Object.values(told.node_errors ?? {}).flatMap((/** @type {any} */ each) => each.errors ?? []);
  return first ? [first.message, first.details].filter(Boolean).join(": ") : told.error?.message ?? told.error;
}

function failure(/** @type {any} */ status) {
  const [, why] = (status?.messages ?? []).find((/** @type {any} */ [name]) => name === "execution_error") ?? [];
  return why?.exception_message?.trim() || "cancelled";
}
