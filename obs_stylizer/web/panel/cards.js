// Source, files and hotkeys.

import { ask, command } from "./link.js";
import { say, sayFailure } from "./messages.js";
import { byId, make } from "./page.js";

const KINDS = { camera: "Cameras", screen: "Screens", window: "Windows of programs", "obs-filter": "Filters in OBS", generator: "Generators of pictures", pattern: "Without a device" };
const OTHER = " other";
const LISTED = 8;
const OPEN_KEY = "obs-stylizer open cards";
const DOCK_WIDTH = 640;

let onAir = "";
let sources = [];
let waiting = null;

export function startCards() {
  rememberOpenCards();
  byId("source-form").onsubmit = (event) => {
    event.preventDefault();
    changeSource();
  };
  byId("source").onchange = showOther;
  byId("source-refresh").onclick = () => loadSources().catch(sayFailure);
  byId("filter-take").onclick = takeFilterOver;
  byId("files-card").addEventListener("toggle", () => loadFiles().catch(sayFailure));
}

/** In a dock the cards begin closed; whoever opens or closes one finds it so the next time. */
function rememberOpenCards() {
  let remembered = {};
  try { remembered = JSON.parse(localStorage.getItem(OPEN_KEY)) || {}; } catch { /* as they are */ }
  for (const card of document.querySelectorAll("details")) {
    if (window.innerWidth < DOCK_WIDTH) card.open = false;
    if (card.id in remembered) card.open = remembered[card.id];
    card.addEventListener("toggle", () => {
      remembered[card.id] = card.open;
      try { localStorage.setItem(OPEN_KEY, JSON.stringify(remembered)); } catch { /* not remembered */ }
    });
  }
}

/** Take in which source is on air. */
export function showSource(status) {
  const states = { lost: "lost, trying again", failed: "does not work", opening: "opening", ended: "ended" };
  byId("source-brief").textContent = [status.source_name || status.source, states[status.source_state]].filter(Boolean).join(" — ");
  if (status.source !== onAir) {
    onAir = status.source;
    fillSources();
  }
}

export async function loadSources() {
  const answer = await ask("GET", "/api/sources");
  sources = answer.sources;
  byId("source-reason").textContent = sources.some((one) => one.kind === "camera") ? "" : answer.reasons.cameras || answer.reasons.sources || "";
  fillSources();
}

/** Offer what OBS shows through a filter of ours that nobody gives a style. */
export async function lookForFilters() {
  const { filters } = await ask("GET", "/api/obs-filters");
  waiting = filters.find((one) => one.seen && !one.served) || null;
  byId("filter-waits").hidden = !waiting;
  if (waiting) byId("filter-text").textContent = `OBS filter ${waiting.title}`;
}

async function takeFilterOver() {
  if (!waiting) return;
  try {
    const answer = await command("source", { source: waiting.source });
    byId("filter-waits").hidden = true;
    say("info", answer.text);
  } catch (failure) {
    sayFailure(failure);
  }
}

function fillSources() {
  const select = byId("source");
  const groups = [];
  if (onAir && !sources.some((one) => one.source === onAir)) {
    groups.push(make("optgroup", { label: "On air" }, make("option", { value: onAir }, onAir)));
  }
  for (const [kind, label] of Object.entries(KINDS)) {
    const options = sources.filter((one) => one.kind === kind).map((one) =>
      make("option", { value: one.source }, one.detail ? `${one.title} (${one.detail})` : one.title));
    if (options.length) groups.push(make("optgroup", { label }, ...options));
  }
  groups.push(make("option", { value: OTHER }, "Something else …"));
  select.replaceChildren(...groups);
  if (onAir) select.value = onAir;
  showOther();
}

function showOther() {
  const isOther = byId("source").value === OTHER;
  byId("source-other").hidden = !isOther;
  if (isOther && document.activeElement === byId("source")) byId("source-text").focus();
}

async function changeSource() {
  const chosen = byId("source").value === OTHER ? byId("source-text").value.trim() : byId("source").value;
  try {
    const answer = await command("source", { source: chosen });
    say("info", answer.text);
  } catch (failure) {
    sayFailure(failure);
  }
}

export async function loadFiles() {
  if (!byId("files-card").open) return;
  const [films, stills] = await Promise.all([ask("GET", "/api/recordings"), ask("GET", "/api/snapshots")]);
  const files = [...films.files.slice(0, LISTED), ...stills.files.slice(0, LISTED)];
  byId("file-list").replaceChildren(...files.map((file) => make("li", {},
    make("a", { href: file.url, target: "_blank" }, file.name),
    make("span", {}, size(file.bytes)))));
  const empty = files.length ? "" : "Nothing yet. ";
  byId("file-folders").textContent = `${empty}Recordings go to ${films.folder}, snapshots to ${stills.folder}.`;
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export async function loadHotkeys() {
  const answer = await ask("GET", "/api/hotkeys");
  byId("hotkey-list").replaceChildren(...answer.hotkeys.flatMap((hotkey) => {
    const does = make("dd", {}, hotkey.title);
    // What keeps all of them from working is said once, above.
    if (hotkey.problem && hotkey.problem !== answer.trouble) does.append(make("div", { class: "problem" }, hotkey.problem));
    return [make("dt", {}, make("kbd", {}, hotkey.keys)), does];
  }));
  byId("hotkey-none").hidden = answer.hotkeys.length > 0;
  byId("hotkey-trouble").textContent = answer.hotkeys.length ? answer.trouble : "";
}
