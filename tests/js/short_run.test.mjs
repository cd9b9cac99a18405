import assert from "node:assert/strict";
import test from "node:test";

import { shortRun } from "../../web/js/short_run.js";

const DONE = { outputs: { asked: { text: ["dog"] } }, status: { messages: [] } };

/** A server whose history and queue answer as given, one after the other, the last one again and again. */
class Server extends EventTarget {
  constructor(histories, queues) {
    super();
    this.answers = { "/history/run": histories, "/queue": queues, "/prompt": [{ prompt_id: "run" }] };
    this.asked = [];
  }

  async fetchApi(path) {
    this.asked.push(path);
    const answers = this.answers[path];
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return { ok: true, json: async () => answer };
  }
}

/** Time passes as soon as it is waited for. */
function atOnce(context) {
  context.mock.method(globalThis, "setTimeout", (run) => queueMicrotask(run));
}

const queue = ({ running = [], pending = [] }) => ({ queue_running: running.map((id) => [1, id]), queue_pending: pending.map((id) => [2, id]) });

test("a run is waited for as long as it is in the queue", async (context) => {
  atOnce(context);
  const api = new Server([{}, {}, { run: DONE }], [queue({ running: ["other"], pending: ["run"] }), queue({ running: ["run"] })]);
  assert.deepEqual(await shortRun(api, {}, "asked", () => {}), { text: ["dog"] });
});

test("a run that is taken off the queue is cancelled, not waited for", { timeout: 5000 }, async (context) => {
  atOnce(context);
  const api = new Server([{}], [queue({ pending: ["run"] }), queue({ running: ["other"] })]);
  await assert.rejects(shortRun(api, {}, "asked", () => {}), { message: "cancelled" });
  assert.ok(api.asked.length < 10);
});

test("a run that ends between two answers of the server is not cancelled", async (context) => {
  atOnce(context);
  const api = new Server([{}, { run: DONE }], [queue({})]);
  assert.deepEqual(await shortRun(api, {}, "asked", () => {}), { text: ["dog"] });
});

test("a run that fails says why", async (context) => {
  atOnce(context);
  const messages = [["execution_error", { exception_message: "no memory\n" }]];
  const api = new Server([{ run: { outputs: {}, status: { messages } } }], [queue({})]);
  await assert.rejects(shortRun(api, {}, "asked", () => {}), { message: "no memory" });
});
