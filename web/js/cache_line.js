// @ts-check
/** How much the cache of computed increments holds, and a button that empties it. */
import { ask } from "./ask.js";
import { h } from "./dom.js";
import { bytes } from "./library_words.js";
import { t } from "./words.js";

const PATH = "/sepme/cache";

export class CacheLine {
  /**
   * @param {any} api the page's own
   * @param {import("./panel.js").Host} host
   */
  constructor(api, host) {
    this.api = api;
    this.host = host;
    this.text = h("span", { className: "sepme-label" });
    this.clear = h("button", { type: "button", onclick: () => this.empty() }, t("Clear"));
    this.element = h("div", { className: "sepme-tools sepme-cache", hidden: true }, this.text, this.clear);
  }

  /** Asks anew; says nothing where the server cannot tell. */
  async refresh() {
    const told = await ask(this.api, PATH).catch(() => null);
    this.element.hidden = !told;
    if (told) this.show(told);
  }

  show(/** @type {{bytes: number, limit: number, entries: number, folder: string}} */ { bytes: size, limit, entries, folder }) {
    this.text.textContent = t("Cache: {size} of {limit}, {entries} entries", { size: bytes(size), limit: bytes(limit), entries });
    this.text.title = folder;
    this.clear.disabled = !entries;
  }

  async empty() {
    const sure = await this.host.confirm(t("Clear"), t("Everything in the cache is computed again when it is needed. Saved files stay."));
    if (!sure) return;
    await ask(this.api, `${PATH}/clear`, {}).catch(this.host.complain);
    await this.refresh();
  }
}
