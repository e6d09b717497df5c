// Person and background, of presets that tell them apart: either strength, swap, and the mask.

import { isMoving, moved, sender } from "./controls.js";
import { command } from "./link.js";
import { sayFailure } from "./messages.js";
import { byId, setRange } from "./page.js";

const SIDES = ["person", "background"];

let state = {};

export function startSides() {
  for (const side of SIDES) {
    const range = byId(side);
    const send = sender((value) => command(side, { strength: value }));
    range.addEventListener("input", () => {
      moved(range);
      byId(`${side}-value`).textContent = `${range.value} %`;
      send(Number(range.value) / 100);
    });
  }
  byId("swap").onclick = () => command("swap", { swap: !state.swapped }).catch(sayFailure);
  byId("mask").onclick = () => command("mask", { mask: !state.shows_mask }).catch(sayFailure);
}

/** Take in what is on air. */
export function showSides(onAir) {
  state = onAir;
  const strengths = onAir.sides || {};
  // A mask that is shown can always be turned off again.
  byId("sides").hidden = !(SIDES.some((side) => side in strengths) || onAir.shows_mask);
  for (const side of SIDES) {
    const range = byId(side);
    if (!(side in strengths) || isMoving(range)) continue;
    setRange(range, Math.round(100 * strengths[side]));
    byId(`${side}-value`).textContent = `${range.value} %`;
  }
  byId("swap").setAttribute("aria-pressed", String(Boolean(onAir.swapped)));
  byId("mask").setAttribute("aria-pressed", String(Boolean(onAir.shows_mask)));
}
