// What happened, in words, with the remedy; read aloud by screen readers.

import { byId } from "./page.js";

const MOST = 4;
const SECONDS = { info: 5, warning: 10, error: 14 };

/** Show a message; `links` are [text, address] pairs. */
export function say(kind, text, remedy, links) {
  const list = byId("messages");
  // The same once more would only push others out.
  for (const old of list.children) if (old.dataset.text === text) old.remove();
  const box = document.createElement("div");
  box.className = "message";
  box.dataset.kind = kind;
  box.dataset.text = text;
  if (kind === "error") box.setAttribute("role", "alert");
  const words = document.createElement("div");
  words.textContent = sentence(text);
  for (const [label, address] of links || []) {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = label;
    link.target = "_blank";
    words.append(" ", link);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close this message");
  close.onclick = () => box.remove();
  box.append(words, close);
  if (remedy) {
    const more = document.createElement("div");
    more.className = "remedy";
    more.textContent = sentence(remedy);
    box.append(more);
  }
  list.append(box);
  while (list.children.length > MOST) list.firstElementChild.remove();
  let timer = setTimeout(() => box.remove(), 1000 * SECONDS[kind]);
  box.onpointerenter = () => clearTimeout(timer);
  box.onpointerleave = () => { timer = setTimeout(() => box.remove(), 1000 * SECONDS[kind]); };
}

export function sayFailure(failure) {
  say("error", failure.message, failure.remedy || "");
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}
