// How the panel talks to the daemon: requests, events, and pictures; all come back by
// themselves after the daemon was away.

const LONGEST_REQUEST_MS = 130_000;
const SILENCE_MS = 5_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

/** What went wrong, and what to do about it. */
export class Failure extends Error {
  constructor(message, remedy, status) {
    super(message);
    this.remedy = remedy || "";
    this.status = status || 0;
  }
}

/** Open the panel anew with a token; the answer is a cookie, and an address without it. */
export function useToken(given) {
  location.assign(`/?token=${encodeURIComponent(given.trim())}`);
}

/** Ask for something; returns its JSON, or throws a Failure. */
export async function ask(method, path, body) {
  const isFile = body instanceof Blob;
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = isFile ? "application/octet-stream" : "application/json";
  const aborter = new AbortController();
  const timer = setTimeout(() => aborter.abort(), LONGEST_REQUEST_MS);
  let response, answer;
  try {
    response = await fetch(path, {
      method, headers, signal: aborter.signal, cache: "no-store",
      body: body === undefined || isFile ? body : JSON.stringify(body),
    });
    answer = await response.json();
  } catch (error) {
    throw new Failure("obs-stylizer does not answer", "is it running? The panel keeps trying", 0);
  } finally {
    clearTimeout(timer);
  }
  if (!response.ok) {
    const error = answer.error || {};
    throw new Failure(error.message || `refused with ${response.status}`, error.remedy, response.status);
  }
  return answer;
}

/** Send a command; keepalive lets it go out while the page is being closed. */
export function command(word, args) {
  return ask("POST", `/api/${word}`, args || {});
}

/**
 * Receive events for ever. `heard(message)` gets each; `changed(isThere)` hears of the link.
 */
export function listen(heard, changed) {
  let pause = FIRST_PAUSE_MS;
  let socket, silence;

  function open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}/api/events`);
    const mine = socket;
    const rearm = () => {
      clearTimeout(silence);
      // Statistics come every second; a link that is silent is dead, whatever it says.
      silence = setTimeout(() => { if (mine === socket) mine.close(); ended(); }, SILENCE_MS);
    };
    let over = false;
    const ended = () => {
      if (over) return;
      over = true;
      clearTimeout(silence);
      changed(false);
      setTimeout(open, pause);
      pause = Math.min(LONGEST_PAUSE_MS, pause * 1.6);
    };
    rearm();
    socket.onmessage = (event) => {
      if (over) return;
      rearm();
      const message = JSON.parse(event.data);
      if (message.kind === "hello") {
        pause = FIRST_PAUSE_MS;
        changed(true);
      }
      heard(message);
    };
    socket.onclose = ended;
    socket.onerror = ended;
  }
  open();
}

/**
 * Watch a stream of JPEGs. `shown(bitmap)` gets each picture as it comes; those that arrive while
 * one is still being decoded are left out. Ends, or throws, when the stream does.
 */
export async function watch(path, shown, signal) {
  const response = await fetch(path, { signal, cache: "no-store" });
  if (!response.ok || !response.body) throw new Failure(`no picture: ${response.status}`, "", response.status);
  const reader = response.body.getReader();
  let held = new Uint8Array(0);
  let decoding = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held = joined(held, value);
    for (;;) {
      const part = firstPart(held);
      if (!part) break;
      held = held.subarray(part.end);
      if (!decoding) {
        decoding = true;
        createImageBitmap(new Blob([part.jpeg], { type: "image/jpeg" }))
          .then(shown, () => undefined)
          .then(() => { decoding = false; });
      }
    }
  }
}

function joined(first, second) {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

function firstPart(bytes) {
  const head = headEnd(bytes);
  if (head < 0) return null;
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, head));
  const length = /content-length:\s*(\d+)/i.exec(text);
  if (!length) throw new Failure("the stream cannot be read", "", 0);
  const end = head + Number(length[1]);
  return bytes.length < end ? null : { jpeg: bytes.slice(head, end), end };
}

function headEnd(bytes) {
  for (let at = 0; at + 3 < bytes.length; at += 1) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at + 4;
  }
  return -1;
}
