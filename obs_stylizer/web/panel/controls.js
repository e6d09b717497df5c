// What changes the picture: strength, coherence, crossfade, mix, bypass, freeze, snapshot, recording, undo.

import { command } from "./link.js";
import { say, sayFailure } from "./messages.js";
import { byId, fillRange, make, setRange, title } from "./page.js";

const HOLD_MS = 350;
const SETTLE_MS = 900;

const strength = byId("strength");
const coherence = byId("coherence");
const crossfade = byId("crossfade");
const mix = byId("mix");
const bypass = byId("bypass");
const record = byId("record");

let state = {};
let recordedSince = 0;
let heardOnce = false;
const movedAt = new Map();

export function startControls() {
  const sendStrength = sender((value) => command("strength", { strength: value }));
  strength.addEventListener("input", () => {
    moved(strength);
    byId("strength-value").textContent = `${strength.value} %`;
    sendStrength(Number(strength.value) / 100);
  });
  const sendCoherence = sender((value) => command("coherence", { coherence: value }));
  coherence.addEventListener("input", () => {
    moved(coherence);
    byId("coherence-value").textContent = `${coherence.value} %`;
    sendCoherence(Number(coherence.value) / 100);
  });
  const sendCrossfade = sender((value) => command("crossfade", { milliseconds: value }));
  crossfade.addEventListener("input", () => {
    moved(crossfade);
    showCrossfade(Number(crossfade.value));
    sendCrossfade(Number(crossfade.value) < 0 ? null : Number(crossfade.value));
  });
  startBypass();
  byId("freeze").onclick = () => command("freeze", { freeze: !state.freeze }).catch(sayFailure);
  byId("undo").onclick = undo;
  byId("snapshot").onclick = snapshot;
  record.onclick = () => command("record", { record: !state.recording })
    .then((answer) => say("info", answer.text)).catch(sayFailure);
  setInterval(showRecording, 500);
}

/** Take in what is on air. */
export function showControls(onAir) {
  if (onAir.recording && !state.recording) recordedSince = heardOnce ? Date.now() : 0;
  heardOnce = true;
  state = onAir;
  if (!isMoving(strength)) {
    setRange(strength, Math.round(100 * onAir.strength));
    byId("strength-value").textContent = `${Math.round(100 * onAir.strength)} %`;
  }
  if (!isMoving(coherence)) {
    setRange(coherence, Math.round(100 * onAir.coherence));
    byId("coherence-value").textContent = `${Math.round(100 * onAir.coherence)} %`;
  }
  if (!isMoving(crossfade)) {
    const wanted = onAir.crossfade_ms === null ? -100 : onAir.crossfade_ms;
    if (wanted > crossfade.max) crossfade.max = wanted;
    showCrossfade(wanted);
  }
  showMix(onAir.styles || {});
  bypass.setAttribute("aria-pressed", String(onAir.bypass));
  byId("freeze").setAttribute("aria-pressed", String(onAir.freeze));
  record.setAttribute("aria-pressed", String(Boolean(onAir.recording)));
  showRecording();
}

/** Send the newest value, never two at once, so that a slow daemon is not flooded. */
export function sender(send) {
  let waiting = null, busy = false;
  async function go() {
    busy = true;
    while (waiting) {
      const [value] = waiting;
      waiting = null;
      try { await send(value); } catch (failure) { sayFailure(failure); }
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    busy = false;
  }
  return (value) => {
    waiting = [value];
    if (!busy) go();
  };
}

export function moved(range) {
  fillRange(range);
  movedAt.set(range, Date.now());
}

/** While somebody drags it, a slider does not jump to what was true a moment ago. */
export function isMoving(range) {
  return Date.now() - (movedAt.get(range) || 0) < SETTLE_MS;
}

function showCrossfade(milliseconds) {
  const text = milliseconds < 0 ? "as each preset says" : `${(milliseconds / 1000).toFixed(1)} s`;
  setRange(crossfade, milliseconds);
  byId("crossfade-value").textContent = text;
  crossfade.setAttribute("aria-valuetext", text);
}

const sendMix = sender((styles) => command("mix", { styles }));

function showMix(styles) {
  const names = Object.keys(styles);
  mix.hidden = names.length < 2;
  const box = byId("mix-sliders");
  const shown = [...box.querySelectorAll("input")].map((range) => range.name);
  if (shown.join() !== names.join()) {
    box.replaceChildren(...names.map((name, index) => mixSlider(name, index)));
  }
  const most = Math.max(1, ...Object.values(styles));
  for (const range of box.querySelectorAll("input")) {
    if (isMoving(range)) continue;
    setRange(range, Math.round(100 * styles[range.name] / most));
    range.previousElementSibling.textContent = `${range.value} %`;
  }
}

function mixSlider(name, index) {
  const range = make("input", { type: "range", min: 0, max: 100, step: 1, name, id: `mix-${index}` });
  const output = make("output", { for: range.id });
  range.addEventListener("input", () => {
    const all = [...byId("mix-sliders").querySelectorAll("input")];
    // Some style must be left, or there would be nothing to show.
    if (all.every((other) => Number(other.value) === 0)) range.value = 1;
    all.forEach(moved);
    output.textContent = `${range.value} %`;
    sendMix(Object.fromEntries(all.map((other) => [other.name, Number(other.value) / 100])));
  });
  return make("div", { class: "slider" }, make("label", { for: range.id }, title(name)), output, range);
}

/** A click turns it over; held down, it shows the plain picture for as long as it is held. */
function startBypass() {
  let pressedAt = 0, wasOn = false, isDown = false;
  const set = (on) => command("bypass", { bypass: on }).catch(sayFailure);

  function press() {
    if (isDown) return;
    isDown = true;
    pressedAt = Date.now();
    wasOn = Boolean(state.bypass);
    if (!wasOn) set(true);
  }
  function release() {
    if (!isDown) return;
    isDown = false;
    const wasHeld = Date.now() - pressedAt >= HOLD_MS;
    if (wasOn || wasHeld) set(false);
  }
  bypass.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    bypass.setPointerCapture(event.pointerId);
    press();
  });
  bypass.addEventListener("pointerup", release);
  bypass.addEventListener("pointercancel", release);
  bypass.addEventListener("contextmenu", (event) => { if (isDown) event.preventDefault(); });
  bypass.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  bypass.addEventListener("keyup", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    release();
  });
  // A screen reader clicks without pressing; a real press has been dealt with above.
  bypass.addEventListener("click", (event) => { if (event.detail === 0 && !pressedJustNow()) set(!state.bypass); });
  const pressedJustNow = () => Date.now() - pressedAt < 1500;
  for (const left of ["blur", "pagehide"]) window.addEventListener(left, release);
  bypass.addEventListener("blur", release);
}

async function undo() {
  try {
    const answer = await command("undo");
    say("info", `back to ${answer.text}`);
  } catch (failure) {
    if (failure.status === 400) say("info", failure.message);
    else sayFailure(failure);
  }
}

async function snapshot() {
  try {
    const answer = await command("snapshot");
    const links = Object.entries(answer.details).map(([kind, path]) => {
      const name = path.split(/[\\/]/).pop();
      return [kind, `/api/snapshots/${encodeURIComponent(name)}`];
    });
    say("info", "saved a snapshot:", "", links);
  } catch (failure) {
    sayFailure(failure);
  }
}

function showRecording() {
  let text = "Record";
  if (state.recording) {
    const seconds = Math.floor((Date.now() - recordedSince) / 1000);
    text = recordedSince ? `Stop ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Stop";
  }
  const label = byId("record-label");
  if (label.textContent !== text) label.textContent = text;
}
