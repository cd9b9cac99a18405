// @ts-check
/** Files of the library, dragged from the sidebar. */

export const FILE_TYPE = "application/x-sepme-file";

/** Lets files of the library be dropped on an element. */
export function acceptFiles(/** @type {HTMLElement} */ element, /** @type {(file: string) => void} */ add) {
  const ours = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes(FILE_TYPE);
  element.addEventListener("dragover", (event) => {
    if (ours(event)) event.preventDefault();
  });
  element.addEventListener("drop", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    event.stopPropagation();
    add(/** @type {DataTransfer} */ (event.dataTransfer).getData(FILE_TYPE));
  });
}
