// Small things that every part of the panel needs of the page.

export function byId(name) {
  return document.getElementById(name);
}

/** Make an element with attributes and children. */
export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Set a range's value, and how much of its track is filled. */
export function setRange(range, value) {
  range.value = value;
  fillRange(range);
}

export function fillRange(range) {
  const share = (range.value - range.min) / (range.max - range.min);
  range.style.setProperty("--share", `${100 * share}%`);
}

/** “great-wave” as people write it. */
export function title(name) {
  const words = name.replace(/[-_]+/g, " ");
  return words ? words[0].toUpperCase() + words.slice(1) : words;
}

/** Whether the page can be seen; nothing is asked for while it cannot. */
export function isVisible() {
  return document.visibilityState === "visible";
}
