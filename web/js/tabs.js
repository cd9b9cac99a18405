// @ts-check
/** Which of the page's tabs a run was queued from; the server knows the workflow only. */

const MOST = 64; // runs that are remembered

export class Tabs {
  /**
   * @param {any} api the page's own
   * @param {() => any} open gives the page's own object for the workflow that is open
   */
  constructor(api, open) {
    this.open = open;
    /** @type {WeakMap<object, number>} */
    this.numbers = new WeakMap();
    this.count = 0;
    /** @type {Map<string, number>} */
    this.runs = new Map();
    this.listen(api);
  }

  /** The number of the tab that is open; 0 where the page has none. */
  get now() {
    const workflow = this.open();
    if (!workflow) return 0;
    if (!this.numbers.has(workflow)) this.numbers.set(workflow, ++this.count);
    return /** @type {number} */ (this.numbers.get(workflow));
  }

  /** The tab of a run; undefined of one that was queued before the page was opened. */
  of(/** @type {string} */ run) {
    return this.runs.get(run);
  }

  /** The page tells nobody which run it has queued: its own question is listened to. */
  listen(/** @type {any} */ api) {
    const queue = api.queuePrompt;
    api.queuePrompt = async (/** @type {any[]} */ ...given) => {
      const tab = this.now;
      const answer = await queue.apply(api, given);
      this.runs.set(answer?.prompt_id, tab);
      this.runs = new Map([...this.runs].slice(-MOST));
      return answer;
    };
  }
}
