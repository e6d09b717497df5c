// Learning a style from a picture that is dropped, and installing style packs.

import { ask, command } from "./link.js";
import { say, sayFailure } from "./messages.js";
import { byId, title } from "./page.js";

const LARGEST = 20e6;

let shown = "";

export function startLearning() {
  const drop = byId("learn-drop");
  const file = byId("learn-file");
  byId("learn-choose").onclick = () => file.click();
  file.onchange = () => { take(file.files); file.value = ""; };
  // A picture that misses the field would otherwise replace the panel.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
  document.addEventListener("dragover", () => { drop.dataset.over = "true"; });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.dataset.over = "false"; });
  document.addEventListener("drop", (event) => {
    drop.dataset.over = "false";
    if (event.dataTransfer && event.dataTransfer.files.length) take(event.dataTransfer.files);
  });
  byId("learn-use").onclick = () => send("learn-keep");
  byId("learn-more").onclick = () => send("learn-more");
  byId("learn-forget").onclick = () => send("learn-forget");
}

async function take(files) {
  const [file] = files;
  if (!file) return;
  try {
    if (file.size > LARGEST) throw Object.assign(new Error(`${file.name} is larger than 20 MB`), { remedy: "make it smaller; 1000 pixels are plenty" });
    if (file.name.endsWith(".style")) {
      const answer = await ask("POST", "/api/styles", file);
      say("info", answer.text);
      return;
    }
    const name = file.name.replace(/\.[^.]*$/, "");
    const answer = await ask("POST", `/api/learn-picture?name=${encodeURIComponent(name)}`, file);
    byId("learn-card").open = true;
    say("info", answer.text);
  } catch (failure) {
    sayFailure(failure);
  }
}

async function send(word) {
  try {
    const answer = await command(word);
    say("info", answer.text);
  } catch (failure) {
    sayFailure(failure);
  }
}

/** Take in how far learning is. */
export function showLearning(learning) {
  const text = JSON.stringify(learning);
  if (text === shown) return;
  shown = text;
  const isOn = learning.state === "learning";
  const wasLearnt = learning.state === "learnt";
  byId("learn-now").hidden = !isOn && !wasLearnt && learning.state !== "failed";
  byId("learn-drop").hidden = isOn;
  byId("learn-bar").hidden = !isOn;
  byId("learn-bar").value = learning.share || 0;
  byId("learn-use").hidden = byId("learn-forget").hidden = !isOn;
  byId("learn-more").hidden = !wasLearnt;
  const name = learning.name ? title(learning.name) : "";
  const waits = learning.share >= 1 && learning.exports;
  const left = waits ? "on air; each save of the painting is learnt" : `${Math.ceil(learning.seconds_left || 0)} s left`;
  byId("learn-text").textContent = isOn ? `${name}: ${learning.trouble || left}`
    : wasLearnt ? `${name} is learnt, and among the presets.`
      : learning.state === "failed" ? `${name} was not learnt: ${learning.trouble}.` : "";
  byId("learn-brief").textContent = isOn ? `${name}, ${left}` : "";
  const picture = byId("learn-thumbnail");
  picture.hidden = !isOn || learning.samples === undefined;
  if (!picture.hidden) picture.src = `/api/learning/thumbnail.jpg?${learning.samples}`;
}
