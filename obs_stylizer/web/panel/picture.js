// The live picture: plain on the left of the divider, styled on its right.

import { watch } from "./link.js";
import { byId, isVisible } from "./page.js";

const ADDRESS = "/preview.mjpg?view=pair";
const SILENCE_MS = 4_000;
const PAUSE_MS = 1_000;

const canvas = byId("picture");
const divider = byId("divider");
const screen = byId("screen");
const surface = canvas.getContext("2d", { alpha: false });
let newest = null;
let aborter = null;

export function startPicture() {
  divider.addEventListener("input", place);
  // A click on the picture brings the divider there, wherever the browser would put the thumb.
  divider.addEventListener("pointerdown", follow);
  divider.addEventListener("pointermove", (event) => { if (event.buttons & 1) follow(event); });
  document.addEventListener("visibilitychange", () => {
    if (!isVisible() && aborter) aborter.abort();
  });
  place();
  keepWatching();
}

/** Say why there is no picture. */
export function explainNoPicture(text) {
  byId("no-picture").textContent = text || "Waiting for the picture …";
}

function follow(event) {
  const box = divider.getBoundingClientRect();
  divider.value = Math.round(100 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
  place();
}

function place() {
  byId("handle").style.setProperty("--at", `${divider.value}%`);
  divider.setAttribute("aria-valuetext", `${divider.value} % plain`);
  draw();
}

async function keepWatching() {
  for (;;) {
    if (isVisible()) {
      aborter = new AbortController();
      const mine = aborter;
      let silence = setTimeout(() => mine.abort(), SILENCE_MS + 6_000);
      try {
        await watch(ADDRESS, (bitmap) => {
          clearTimeout(silence);
          silence = setTimeout(() => mine.abort(), SILENCE_MS);
          show(bitmap);
        }, mine.signal);
      } catch { /* it is tried again, and the banner says what is wrong */ }
      clearTimeout(silence);
      if (isVisible()) screen.dataset.empty = "true";
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function show(bitmap) {
  if (newest) newest.close();
  newest = bitmap;
  const width = bitmap.width / 2;
  if (canvas.width !== width || canvas.height !== bitmap.height) {
    canvas.width = width;
    canvas.height = bitmap.height;
    screen.style.aspectRatio = `${width} / ${bitmap.height}`;
  }
  screen.dataset.empty = "false";
  draw();
}

function draw() {
  if (!newest) return;
  const width = canvas.width, height = canvas.height;
  const at = Math.round(width * divider.value / 100);
  if (at > 0) surface.drawImage(newest, 0, 0, at, height, 0, 0, at, height);
  if (at < width) surface.drawImage(newest, width + at, 0, width - at, height, at, 0, width - at, height);
}
