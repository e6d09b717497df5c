// OBS: is it there, and which preset each of its scenes brings.

import { ask } from "./link.js";
import { say, sayFailure } from "./messages.js";
import { byId, make } from "./page.js";
import { knownPresets } from "./presets.js";

const DEFAULT = "every other scene";

let shown = null;
let isEdited = false;

export function startObs() {
  byId("obs-form").onsubmit = (event) => {
    event.preventDefault();
    save("/api/obs/scene-map", edited(), "the scene map is saved");
  };
  byId("obs-discard").onclick = () => { edit(false); fill(); };
  byId("obs-undo").onclick = () => save("/api/obs/scene-map/undo", {}, "the scene map is as before");
  byId("obs-map").addEventListener("input", () => edit(true));
}

export async function loadObs() {
  take(await ask("GET", "/api/obs"));
}

function take(answer) {
  const before = shown;
  shown = answer;
  const state = answer.state;
  let brief = "off";
  if (answer.enabled) brief = state.connected ? `connected${state.program ? `, ${state.program}` : ""}` : "not connected";
  byId("obs-brief").textContent = brief;
  const lines = [];
  if (!answer.enabled) lines.push("Not in use. Write “obs:” with the websocket's password into the settings, and scenes choose presets.");
  else if (!state.connected) lines.push(state.trouble || "OBS is not there; looking for it.");
  lines.push(...(state.hints || []));
  byId("obs-text").textContent = lines.join(" ");
  byId("obs-text").hidden = lines.length === 0;
  byId("obs-form").hidden = !answer.enabled;
  byId("obs-undo").disabled = !answer.can_undo;
  const same = before && JSON.stringify([before.scenes, before.scene_map, before.default]) ===
    JSON.stringify([answer.scenes, answer.scene_map, answer.default]);
  // What somebody is typing is not taken from under their hands.
  if (!isEdited && !same) fill();
  markProgram();
}

/** The presets are others now. */
export function refillObs() {
  if (shown && !isEdited) fill();
}

function fill() {
  if (!shown) return;
  const names = [...shown.scenes, ...Object.keys(shown.scene_map).filter((name) => !shown.scenes.includes(name))];
  const rows = names.map((name) => row(name, name, shown.scene_map[name], shown.scenes.length > 0 && !shown.scenes.includes(name)));
  rows.push(row("", DEFAULT, shown.default, false));
  byId("obs-map").replaceChildren(...rows);
  markProgram();
}

function row(scene, label, scenePreset, isMissing) {
  const chosen = scenePreset || {};
  const unnamed = scene && !scenePreset;
  const select = make("select", { "aria-label": `Preset for ${label}`, name: "preset" });
  if (scene) select.append(make("option", { value: "default" }, `as ${DEFAULT}`));
  select.append(make("option", { value: "" }, "leave as it is"));
  const presets = knownPresets();
  for (const preset of presets) select.append(make("option", { value: preset.name }, preset.title));
  if (chosen.preset && !presets.some((preset) => preset.name === chosen.preset)) {
    select.append(make("option", { value: chosen.preset }, `${chosen.preset} (gone)`));
  }
  select.value = unnamed ? "default" : chosen.preset || "";
  const strength = make("input", {
    type: "number", min: 0, max: 100, step: 1, name: "strength", placeholder: "own",
    "aria-label": `Strength for ${label}, in percent`, title: "Strength in percent; empty: the preset's own",
  });
  if (typeof chosen.strength === "number") strength.value = Math.round(100 * chosen.strength);
  const crossfade = make("input", {
    type: "number", min: 0, max: 10000, step: 50, name: "crossfade", placeholder: "own",
    "aria-label": `Crossfade for ${label}, in milliseconds`, title: "Crossfade in milliseconds; empty: the preset's own",
  });
  if (typeof chosen.crossfade_ms === "number") crossfade.value = chosen.crossfade_ms;
  const name = make("span", { class: "scene" }, scene || "Every other scene");
  if (isMissing) name.append(make("em", {}, " not in OBS"));
  return make("li", { "data-scene": scene }, name, select,
    make("span", { class: "fine" },
      make("span", { class: "unit" }, "Strength", strength, "%"),
      make("span", { class: "unit" }, "Crossfade", crossfade, "ms")));
}

function markProgram() {
  const program = shown && shown.state.connected ? shown.state.program : "";
  for (const item of byId("obs-map").children) {
    item.classList.toggle("now", Boolean(program) && item.dataset.scene === program);
  }
}

function edit(isNow) {
  isEdited = isNow;
  byId("obs-save").disabled = !isNow;
  byId("obs-discard").disabled = !isNow;
}

function edited() {
  const map = { scene_map: {}, default: {} };
  for (const item of byId("obs-map").children) {
    const field = (name) => item.querySelector(`[name="${name}"]`).value;
    if (field("preset") === "default") continue;
    const scenePreset = { preset: field("preset") };
    if (field("strength") !== "") scenePreset.strength = Number(field("strength")) / 100;
    if (field("crossfade") !== "") scenePreset.crossfade_ms = Number(field("crossfade"));
    if (item.dataset.scene) map.scene_map[item.dataset.scene] = scenePreset;
    else map.default = scenePreset;
  }
  return map;
}

async function save(address, body, done) {
  try {
    const answer = await ask("POST", address, body);
    edit(false);
    shown = null;
    take(answer);
    say("info", done);
  } catch (failure) {
    sayFailure(failure);
  }
}
