// @ts-check
/**
 * Prompts checked while they are typed: which of them name something that is erased.
 *
 * @typedef {{prompt: string, names: string[]}} Checked
 */
import { h } from "./dom.js";
import { t } from "./words.js";

const REST = 400; // milliseconds without a change, before the server is asked
const FIELDS = { concepts: "concepts", rows: "rows", prompts: "prompts_to_check" };

export class PromptCheck {
  /**
   * @param {any} node one with those fields
   * @param {(texts: Record<string, string>) => Promise<{prompts: Checked[]}>} ask
   */
  constructor(node, ask) {
    this.node = node;
    this.ask = ask;
    this.asked = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.asking = undefined;
    this.element = h("p", { className: "sepme-problem sepme-named", role: "status", hidden: true, "data-height": 48 });
  }

  /** What is to be checked. @returns {Record<string, string>} */
  get texts() {
    const value = (/** @type {string} */ name) => String(this.node.widgets.find((/** @type {any} */ widget) => widget.name === name)?.value ?? "");
    return Object.fromEntries(Object.entries(FIELDS).map(([key, name]) => [key, value(name)]));
  }

  /** Whether some of it is not known here. */
  get linked() {
    return this.node.inputs?.some((/** @type {any} */ input) => input.link != null && Object.values(FIELDS).includes(input.name));
  }

  /** Asks about texts that were not asked about yet, once they have rested. */
  refresh() {
    const { texts } = this;
    const now = texts.prompts.trim() && !this.linked ? JSON.stringify(texts) : "";
    if (now === this.asked) return;
    this.asked = now;
    clearTimeout(this.asking);
    if (now) this.asking = setTimeout(() => this.askNow(now), REST);
    else this.show([]);
  }

  async askNow(/** @type {string} */ about) {
    const answer = await this.ask(JSON.parse(about)).catch(() => null);
    if (about === this.asked) this.show(answer?.prompts ?? []);
  }

  show(/** @type {Checked[]} */ prompts) {
    const named = prompts.filter(({ names }) => names.length);
    this.element.hidden = !named.length;
    const told = named.map(({ prompt, names }) => t("“{prompt}” names {names}", { prompt, names: names.join(", ") }));
    this.element.textContent = told.length ? `${t("Erased, so it will not be drawn:")} ${told.join("; ")}` : "";
    this.element.title = told.join("\n");
  }
}
