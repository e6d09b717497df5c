// The panel: puts its parts together and passes on to them what the daemon publishes.

import { loadFiles, loadHotkeys, loadSources, lookForFilters, showSource, startCards } from "./cards.js";
import { showHistory, showStatistics, startChart } from "./chart.js";
import { showControls, startControls } from "./controls.js";
import { showLearning, startLearning } from "./learn.js";
import { ask, listen, useToken } from "./link.js";
import { say, sayFailure } from "./messages.js";
import { loadObs, refillObs, startObs } from "./obs.js";
import { byId, isVisible } from "./page.js";
import { explainNoPicture, startPicture } from "./picture.js";
import { loadPresets, mark, markQuarantined, refreshThumbnails, startPresets, wasAppliedHere } from "./presets.js";
import { showSides, startSides } from "./sides.js";

const OBS_MS = 4_000;
const WARNINGS = ["source-lost", "source-failed", "source-ended", "worker-lost", "gpu-given-up", "preset-quarantined"];

let onAir = {};
let picture = "";
let isThere = false;
let isKnown = false;
let hasAsked = false;

startPicture();
startControls();
startSides();
startPresets();
startChart();
startCards();
startObs();
startLearning();
listen(hear, changeLink);
setInterval(() => {
  if (!isThere || !isKnown || !isVisible()) return;
  loadObs().catch(() => undefined);
  lookForFilters().catch(() => undefined);
}, OBS_MS);

function hear(message) {
  const { kind, text, details } = message;
  if (kind === "hello") {
    takeState(details);
    showHistory(details.history || []);
    showStatistics(details);
    picture = details.picture;
    loadEverything();
  } else if (kind === "state") {
    takeState(details);
  } else if (kind === "statistics") {
    picture = details.picture;
    showStatistics(details);
    showLamp(details);
  } else if (kind === "thumbnails") {
    if (isVisible()) refreshThumbnails(details.names);
  } else if (kind === "presets-changed") {
    loadPresets().then(refillObs).then(loadHotkeys).catch(sayFailure);
  } else if (kind === "recording-ended") {
    say(details.reason ? "warning" : "info", text, "");
    loadFilesIfKnown();
  } else if (kind === "snapshot") {
    loadFilesIfKnown();
  } else if (kind === "preset-failed") {
    // Whoever clicked here is told by the answer.
    if (!wasAppliedHere(details.preset)) say("warning", `preset ${details.preset}: ${details.message}`, details.remedy);
  } else if (WARNINGS.includes(kind) && text) {
    say("warning", text, details.remedy || "");
  }
}

function loadFilesIfKnown() {
  if (isKnown) loadFiles().catch(sayFailure);
}

async function loadEverything() {
  try {
    const { known } = await ask("GET", "/api/access");
    isKnown = known;
    if (!known) askForToken();
    const inOrder = loadPresets().then(known ? loadObs : undefined).then(refillObs);
    const others = known ? [loadSources(), loadFiles()] : [];
    await Promise.all([inOrder, loadHotkeys(), ...others]);
  } catch (failure) {
    sayFailure(failure);
  }
}

function takeState(state) {
  onAir = state;
  byId("now").textContent = state.bypass ? "Bypass" : state.title || state.preset || "obs-stylizer";
  byId("on-air-tag").textContent = state.bypass ? "bypassed" : "styled";
  document.title = `${state.title || state.preset || "…"} – obs-stylizer`;
  mark(state.preset);
  markQuarantined(state.quarantined || {});
  showControls(state);
  showSides(state);
  showSource(state);
  showLearning(state.learning || {});
  showBanner();
}

function changeLink(there) {
  if (there === isThere && !there) checkToken();
  isThere = there;
  showBanner();
  if (!there) showLamp(null);
}

function showBanner() {
  const banner = byId("banner");
  let text = "";
  if (!isThere) text = "No connection to obs-stylizer; trying again …";
  else if (onAir.asleep) text = "Asleep: nobody watches, and the source is closed.";
  else if (onAir.trouble) text = `${onAir.trouble[0].toUpperCase()}${onAir.trouble.slice(1)}.`;
  else if (onAir.freeze) text = "The picture is frozen.";
  banner.dataset.kind = isThere ? "trouble" : "away";
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
  explainNoPicture(isThere ? onAir.trouble : "No connection");
}

function showLamp(statistics) {
  const states = { styled: ["live", "on air"], held: ["held", "picture held"], standby: ["off", "standby picture"], asleep: ["off", "asleep"] };
  const [state, text] = states[picture] || ["off", ""];
  byId("lamp").dataset.state = statistics ? state : "off";
  const fps = statistics && statistics.fps ? `${Math.round(statistics.fps.sink || 0)} fps` : "";
  const words = statistics ? [text === "on air" ? "" : text, fps].filter(Boolean).join(", ") : "away";
  byId("state").textContent = words;
  byId("lamp").title = text;
}

/** The link does not come up: because nothing is there, or because the token is missing? */
async function checkToken() {
  try {
    await ask("GET", "/api/status");
  } catch (failure) {
    if (failure.status === 401) askForToken();
  }
}

/** Once: without the token the panel shows no pictures and changes no source. */
function askForToken() {
  const dialog = byId("token-dialog");
  if (hasAsked || dialog.open) return;
  hasAsked = true;
  dialog.showModal();
  byId("token-form").onsubmit = (event) => {
    if (event.submitter && event.submitter.value === "use") useToken(byId("token").value);
  };
}
