// The presets as thumbnails of the live picture; one click, or Enter, and it is on air.

import { ask, command } from "./link.js";
import { sayFailure } from "./messages.js";
import { byId, isVisible, make } from "./page.js";

const REFRESH_MS = 30_000;
const JUST_NOW_MS = 3_000;

const list = byId("preset-list");
const answeredAt = new Map();
let version = 0;
let onAir = "";
let presets = [];
let quarantined = {};

export function startPresets() {
  list.addEventListener("keydown", move);
  byId("next").onclick = () => command("next").catch(sayFailure);
  byId("previous").onclick = () => command("previous").catch(sayFailure);
  byId("reload").onclick = () => command("reload").then(loadPresets).catch(sayFailure);
  setInterval(() => { if (isVisible()) refreshThumbnails(); }, REFRESH_MS);
  document.addEventListener("visibilitychange", () => { if (isVisible()) refreshThumbnails(); });
}

/** All presets as last loaded: name and title of each. */
export function knownPresets() {
  return presets;
}

/** Whether somebody has just clicked on that preset here, and hears from the answer. */
export function wasAppliedHere(name) {
  const option = find(name);
  const isWaiting = Boolean(option) && option.dataset.state === "waiting";
  return isWaiting || Date.now() - (answeredAt.get(name) || 0) < JUST_NOW_MS;
}

export async function loadPresets() {
  const answer = await ask("GET", "/api/presets");
  presets = answer.presets;
  const focused = document.activeElement && document.activeElement.dataset.name;
  list.replaceChildren(...presets.map(tile));
  const errors = byId("preset-errors");
  errors.replaceChildren(...answer.errors.map((error) =>
    make("li", {}, `${error.message}${error.remedy ? ` (${error.remedy})` : ""}`)));
  errors.hidden = answer.errors.length === 0;
  mark(onAir);
  markQuarantined(quarantined);
  if (focused && find(focused)) find(focused).focus();
}

/** Mark the preset on air. */
export function mark(name) {
  onAir = name;
  let reachable = null;
  for (const option of list.children) {
    const isOnAir = option.dataset.name === name;
    option.setAttribute("aria-selected", String(isOnAir));
    option.tabIndex = -1;
    if (isOnAir) reachable = option;
  }
  // One of them is in the order of the Tab key; arrows go to the others.
  reachable = reachable || list.firstElementChild;
  if (reachable) reachable.tabIndex = 0;
}

/** Mark presets that are set aside; `reasons` says why, by their names. One click tries again. */
export function markQuarantined(reasons) {
  quarantined = reasons;
  for (const option of list.children) {
    const { name } = option.dataset;
    const preset = presets.find((one) => one.name === name);
    option.toggleAttribute("data-quarantined", name in reasons);
    option.title = name in reasons
      ? `Set aside, the worker did not survive it: ${reasons[name]}. A click tries again.`
      : (preset && preset.description) || "";
  }
}

/** Ask for the thumbnails anew: those named, or all. */
export function refreshThumbnails(names) {
  version += 1;
  for (const option of list.children) {
    if (!names || names.includes(option.dataset.name)) loadThumbnail(option);
  }
}

function tile(preset) {
  const picture = make("span", { class: "picture" });
  const name = make("span", { class: "name" }, preset.title);
  const option = make("button", {
    type: "button", role: "option", class: "preset", "data-name": preset.name,
    "aria-selected": "false", title: preset.description,
  }, picture, name);
  if (preset.hotkey) option.append(make("kbd", { "aria-label": `hotkey ${preset.hotkey}` }, shortKeys(preset.hotkey)));
  option.onclick = () => apply(option);
  loadThumbnail(option);
  return option;
}

function loadThumbnail(option) {
  const image = new Image();
  image.alt = "";
  image.onload = () => {
    // Only now in place of the old one, so that nothing flickers.
    const picture = option.querySelector(".picture");
    picture.replaceChildren(image);
  };
  image.src = `/api/presets/${encodeURIComponent(option.dataset.name)}/thumbnail.jpg?v=${version}`;
}

async function apply(option) {
  option.dataset.state = "waiting";
  option.setAttribute("aria-busy", "true");
  try {
    await command("preset", { name: option.dataset.name });
  } catch (failure) {
    sayFailure(failure);
  } finally {
    delete option.dataset.state;
    option.removeAttribute("aria-busy");
    answeredAt.set(option.dataset.name, Date.now());
  }
}

function find(name) {
  return [...list.children].find((option) => option.dataset.name === name);
}

function move(event) {
  const options = [...list.children];
  const here = options.indexOf(document.activeElement);
  if (here < 0) return;
  const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  let to = here + (steps[event.key] || 0);
  if (event.key === "Home") to = 0;
  if (event.key === "End") to = options.length - 1;
  if (to === here || !options[to]) return;
  event.preventDefault();
  options[here].tabIndex = -1;
  options[to].tabIndex = 0;
  options[to].focus();
}

function shortKeys(keys) {
  const signs = { ctrl: "Ctrl", alt: "Alt", shift: "⇧", super: "⊞", cmd: "⌘" };
  return keys.split("+").map((key) => signs[key.trim().toLowerCase()] || key.trim()).join("+");
}
