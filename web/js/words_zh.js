// @ts-check
/** Chinese, by the English that stands in the code. */
/** @type {Record<string, string>} */
export const ZH = {
  on: "启用", strength: "强度", start: "开始", end: "结束", ready: "就绪", computing: "计算中", leaking: "有泄漏",
  doubled: "重复", replaced: "已替换", refused: "被拒绝", missing: "缺失", corrupt: "损坏", mismatch: "不匹配",
  unreadable: "无法读取", off: "关闭", new: "未计算", waiting: "待加载", Remove: "移除", All: "全部", Filter: "筛选",
  Presets: "预设", "Save as…": "另存为…", "Start and end": "开始与结束", "Edit as text": "以文本编辑",
  "Drag, or press Alt with an arrow, Home or End": "拖动，或按 Alt 加方向键、Home 或 End", "Add a file": "添加文件",
  "Drag to change it, for all chosen rows if this is one of them; with Shift for all rows.":
    "拖动以更改；若该行已被选中，则更改所有选中的行；按住 Shift 则更改所有行。",
  "Choose files": "选择文件", Files: "文件", "To the folder above": "返回上级文件夹", "Add {count}": "添加 {count} 个", added: "已添加",
  "Enter adds, Shift+Enter ticks, Esc closes": "Enter 添加，Shift+Enter 勾选，Esc 关闭",
  "No file in models/sepme fits “{text}”.": "models/sepme 中没有符合“{text}”的文件。",
  Clear: "清空", "Cache: {size} of {limit}, {entries} entries": "缓存：{size} / {limit}，{entries} 项",
  "Everything in the cache is computed again when it is needed. Saved files stay.": "缓存中的内容会在需要时重新计算。已保存的文件不受影响。",
  Trash: "回收站", Restore: "恢复", "The trash is empty.": "回收站是空的。", "In the trash: what is restored gets its place back.": "回收站：恢复后回到原来的位置。",
  "Picture: choose one, or drop it here": "图片：选择一张，或拖放到这里", newest: "最新", largest: "最大",
  "Use the moved files": "使用移动后的文件", 
  "It is loaded from {file}, which is the same to the bit. “Use the moved files” writes that name into the rows.":
    "将从 {file} 加载，其内容完全相同。点击“使用移动后的文件”会把该名称写入各行。",
  Sort: "排序", family: "模型系列", name: "名称", concept: "概念", Compact: "紧凑", Replace: "替换", moved: "已移动",
  "In this workflow": "此工作流", "In all workflows": "所有工作流", "Save for all workflows as…": "为所有工作流另存为…",
  "The presets for all workflows have version {version}; this version of SepME reads {known}. Update the SepME nodes to use them.":
    "所有工作流的预设版本为 {version}，当前 SepME 只能读取 {known}。请更新 SepME 节点后再使用。",
  "Name of the preset": "预设名称", "Erased concepts": "已擦除的概念", Rename: "重命名", Delete: "删除", Add: "添加",
  "New name": "新名称", Refresh: "刷新", "The rows come from a link.": "各行来自连线。",
  "Not loaded yet: it will be with the next run.": "尚未加载，下次运行时加载。",
  "Not computed yet: it will be with the next run.": "尚未计算，下次运行时计算。",
  "Its file is missing: it will be computed again with the next run.": "文件缺失，下次运行时重新计算。",
  "It is not in models/sepme. Put the file there, switch the row off, or press “Compute again”.":
    "models/sepme 中没有此文件。请放入文件、关闭该行，或点击“重新计算”。",
  "Compute again": "重新计算", computed: "已重算",
  "Nothing was found to connect to: {inputs}. Connect it yourself.": "没有找到可连接的 {inputs}，请自行连接。",
  "The server answered {status}. Is it running?": "服务器返回 {status}。它在运行吗？",

  "Line {number}: {problem}": "第 {number} 行：{problem}",
  "Line {number}, '{line}'": "第 {number} 行“{line}”",
  "Row {number}": "第 {number} 行",
  "Row {number}, '{key}'": "第 {number} 行“{key}”",
  "Expected: name | synonym, synonym -> anchor": "应为：名称 | 同义词, 同义词 -> 替代内容",
  "More than one '->' or '|'.": "“->”或“|”多于一个。",
  "'|' stands behind '->'.": "“|”位于“->”之后。",
  "The name is empty.": "名称为空。",
  "The name holds a comma, which separates names. Write one concept a line, and further words for it behind '|'; a name that holds a comma goes in quotes.":
    "名称中有逗号，而逗号用于分隔名称。请每行写一个概念，其他叫法写在“|”之后；本身含逗号的名称请加引号。",
  "An arrow stands within a name. Write what is erased as name -> anchor, and what is protected without an anchor.":
    "名称之中有箭头。要擦除的内容请写成“名称 -> 替代”，受保护的名称不带替代。",
  "The name holds '=' or '>'.": "名称中有“=”或“>”。",
  "It holds a tag such as <lora:…>, which loads something elsewhere and names nothing here. Write the name alone.":
    "其中有 <lora:…> 之类的标签，它在别处用于加载文件，在这里不指任何东西。请只写名称。",
  "It holds a choice of several names. Write every name on a line of its own; or, if all of them mean one thing, cat | dog.":
    "其中有花括号包起来的多选一。请每个名称各写一行；如果它们是同一事物，请写成 cat | dog。",
  "It holds a wildcard such as __animals__, which another node fills in. Write the names themselves.":
    "其中有 __animals__ 之类的通配符，要由别的节点来填充。请直接写出名称。",
  "'{name}' is given twice. Give each name once; further words for one concept go behind '|'.":
    "“{name}”出现了两次。每个名称只写一次；同一概念的其他叫法写在“|”之后。",
  "The rows have version {version}; this version of SepME reads up to {known}. Update the SepME nodes to open them; until then they stay as they are.":
    "这些行的版本是 {version}，当前 SepME 只能读到 {known}。请更新 SepME 节点后再打开；在此之前它们保持原样。",
  "The rows are no valid JSON: {why}. Correct that place, or write plain lines such as 'name 0.8'.":
    "这些行不是有效的 JSON：{why}。请改正该处，或改写成普通的行，例如“name 0.8”。",
  "Got {value}, expected a list or a table of rows.": "得到 {value}，应为行的列表或表。",
  "got {value}, expected a switch, a strength or a whole row.": "得到 {value}，应为开关、强度或完整的一行。",
  "{name} is {value}, expected a {type}.": "{name} 为 {value}，应为 {type}。",
  "it names nothing. Give it a name, or remove it.": "没有名称。请写上名称，或移除该行。",
  "strength is {value}, expected between -{most} and {most}. If the number belongs to the name, put the name in quotes: \"{key} …\".":
    "强度为 {value}，应在 -{most} 与 {most} 之间。如果数字属于名称，请给名称加引号：\"{key} …\"。",
  "start is {start} and end {end}, expected 0 <= start <= end <= 1.": "开始为 {start}，结束为 {end}，应为 0 <= 开始 <= 结束 <= 1。",
  "Rows that cannot be read are not written: {problem}": "无法读取的行不会被写入：{problem}",

  "{concept}: {step} of {max_steps} {unit}": "{concept}：{step} / {max_steps} {unit}",
  "{concept}: step {step}/{max_steps} · correlation {now} (stops at {tau}) · {evaluations} evaluations":
    "{concept}：第 {step}/{max_steps} 步 · 相关性 {now}（到 {tau} 停止）· 已求值 {evaluations} 次",
  "up to {time} left": "最多还需 {time}",
  "{seconds} s": "{seconds} 秒", "{minutes} min {seconds} s": "{minutes} 分 {seconds} 秒",
  "drawing steps": "绘制步", captions: "条描述文字", prompts: "条提示词", steps: "步",

  "It is not in models/sepme. Put the file there, switch the row off, or compute and save the concept again.":
    "models/sepme 中没有该文件。请放入该文件，关闭该行，或重新计算并保存该概念。",
  "There are no files in models/sepme yet: SepME Save puts them there.": "models/sepme 中还没有文件：SepME 保存节点会写入。",
  "models/sepme is read-only: nothing can be renamed or deleted.": "models/sepme 是只读的：无法重命名或删除。",
  "margin {value}": "余量 {value}", "Earlier run": "先前运行", Advanced: "高级", "What is rarely needed": "较少用到的设置",
  "Something before this node, or in it, has changed since. Run it again to see how it is now.":
    "此节点或其上游在那之后有所改动。请重新运行以查看现状。",
  "Save increments": "保存增量", "Adds SepME Save: with the next run it writes one file for each increment": "添加 SepME 保存：下次运行时为每个增量写入一个文件",
  "Protect neighbours": "保护相近概念", "Protect what is ticked": "保护所选", Close: "关闭",
  "Suggests names that are most like the concepts, to be kept as they are": "建议与这些概念最相近的名称，使其保持原样",
  "The text encoder is asked…": "正在询问文本编码器…",
  "Like the concepts. What is ticked stays as it is:": "与这些概念相近。勾选的将保持原样：",
  "Nothing else was found that is like the concepts.": "没有找到其他相近的概念。",
  "similarity {value}": "相似度 {value}",
  "The protected concepts come from a link: add the names there.": "受保护的概念来自连线：请在那里添加名称。",
  "There is no CLIP to ask. Connect the CLIP of your checkpoint to this node, or to the one that computes with it.":
    "没有可询问的 CLIP。请将检查点的 CLIP 连接到此节点，或连接到使用它进行计算的节点。",
  "This node is switched off: switch it on first.": "此节点已停用：请先启用。",
  "“{prompt}” names {names}": "“{prompt}”提到了 {names}", "Erased, so it will not be drawn:": "已擦除，因此不会被画出：",
  "Not as in a new node: {names}": "与新建节点不同：{names}",
  "leak {value}": "泄漏 {value}",
};
