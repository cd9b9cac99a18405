// @ts-check
/** Pictures that a person gives: dropped, or chosen. */
import { h } from "./dom.js";

const SIDE = 512; // pixels; the server keeps no more
const IMAGE = /^image\//;

/** Whether something dragged may be a picture: a file, or one of the page's own pictures. */
export function maybePicture(/** @type {DataTransfer | null} */ data) {
  const types = data?.types ?? [];
  return types.includes("Files") || types.includes("text/uri-list");
}

/**
 * The picture that was dropped.
 *
 * @param {DataTransfer} data
 * @param {string} origin where pictures may be fetched from: the page's own server
 * @returns {Promise<Blob | null>} null where it is none
 */
export async function droppedPicture(data, origin) {
  const file = [...data.files].find(({ type }) => IMAGE.test(type));
  if (file) return file;
  const address = data.getData("text/uri-list").split(/\r?\n/)[0];
  if (!address || new URL(address, origin).origin !== origin) return null;
  const blob = await (await fetch(address)).blob();
  return IMAGE.test(blob.type) ? blob : null;
}

/** Lets a person choose a picture's file. @returns {Promise<Blob | null>} */
export function choosePicture() {
  return new Promise((give) => {
    const input = h("input", { type: "file", accept: "image/*" });
    input.addEventListener("change", () => give(input.files?.[0] ?? null));
    input.addEventListener("cancel", () => give(null));
    input.click();
  });
}

/** A picture in a modest size; as it was where the browser cannot read it: the server says why. */
export async function shrunk(/** @type {Blob} */ blob) {
  const bitmap = await createImageBitmap(blob).catch(() => null);
  if (!bitmap) return blob;
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return /** @type {Promise<Blob>} */ (new Promise((give) => canvas.toBlob((small) => give(small ?? blob), "image/png")));
}
