// @ts-check
/** The words of the rows and the library; English stands in the code, other languages here. */

/** @type {Record<string, Record<string, string>>} */
const LANGUAGES = {
  zh: {
    on: "启用", strength: "强度", start: "开始", end: "结束", ready: "就绪", computing: "计算中", leaking: "有泄漏",
    doubled: "重复", replaced: "已替换", refused: "被拒绝", missing: "缺失", corrupt: "损坏", mismatch: "不匹配",
    unreadable: "无法读取", off: "关闭", new: "未计算", waiting: "待加载", Remove: "移除", All: "全部", Filter: "筛选",
    Presets: "预设", "Save as…": "另存为…", "Start and end": "开始与结束", "Edit as text": "以文本编辑",
    "Drag, or press Alt with the up or down arrow": "拖动，或按 Alt 加上下方向键", "Add a file": "添加文件",
    "Name of the preset": "预设名称", "Erased concepts": "已擦除的概念", Rename: "重命名", Delete: "删除", Add: "添加",
    "New name": "新名称", Refresh: "刷新", "The rows come from a link.": "各行来自连线。",
    "Not loaded yet: it will be with the next run.": "尚未加载，下次运行时加载。",
    "Not computed yet: it will be with the next run.": "尚未计算，下次运行时计算。",
  },
};
let words = /** @type {Record<string, string>} */ ({});

/** Chooses the language of the page, such as `zh`. */
export function speak(/** @type {string} */ language) {
  words = LANGUAGES[language] ?? {};
}

/** A word in the page's language. */
export function t(/** @type {string} */ english) {
  return Object.hasOwn(words, english) ? words[english] : english;
}
