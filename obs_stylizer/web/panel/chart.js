// Frames a second and latency of the last two minutes, and the numbers behind them.

import { byId, make } from "./page.js";

const KEPT = 120;
const samples = [];
const canvas = byId("chart");

export function startChart() {
  new ResizeObserver(draw).observe(canvas);
}

/** Take in the last minutes: [sent, styled, latency] of each second. */
export function showHistory(history) {
  samples.splice(0, samples.length, ...history.map(([sink, worker, latency]) => ({ sink, worker, latency })));
}

/** Take in one second's statistics. */
export function showStatistics(statistics) {
  const fps = statistics.fps || {};
  const latency = statistics.latency_ms || {};
  samples.push({ sink: fps.sink || 0, worker: fps.worker || 0, latency: latency.median || 0 });
  while (samples.length > KEPT) samples.shift();
  byId("numbers-brief").textContent = `${round(fps.sink)} fps, ${Math.round(latency.median || 0)} ms`;
  canvas.setAttribute("aria-label",
    `${round(fps.sink)} frames sent and ${round(fps.worker)} styled a second, latency ${Math.round(latency.median || 0)} milliseconds`);
  showFacts(statistics, fps, latency);
  draw();
}

function showFacts(statistics, fps, latency) {
  const runsOn = [statistics.provider, statistics.precision].filter(Boolean).join(", ");
  const facts = [
    ["Generator", statistics.generator || ""],
    ["Runs on", [statistics.device, runsOn && `(${runsOn})`].filter(Boolean).join(" ")],
    ["Sizes", [statistics.process_size && `${statistics.process_size} styled`, statistics.frame_size && `${statistics.frame_size} sent`].filter(Boolean).join(", ")],
    ["Source", `${round(fps.source)} fps, ${statistics.dropped || 0} frames overtaken`],
    ["Pictures", `${round(fps.worker)} fresh a second, of ${round(fps.keys)} key pictures`],
    ["Latency", `${Math.round(latency.median || 0)} ms, p99 ${Math.round(latency.p99 || 0)} ms`],
    ["Repeated", `${statistics.repeated || 0} frames, ${statistics.missed_ticks || 0} ticks missed`],
    ["Worker", `${statistics.worker_state || ""}, ${statistics.worker_restarts || 0} restarts`],
    ["Memory", `${Math.round(statistics.memory_mb || 0)} MB`],
    ["On air", duration(statistics.uptime_s || 0)],
  ];
  for (const sink of statistics.sinks || []) {
    facts.push([`Sink ${sink.name}`, `${sink.state}, ${round(sink.fps)} fps${sink.where ? `, ${sink.where}` : ""}`]);
  }
  byId("facts").replaceChildren(...facts.filter(([, text]) => text).flatMap(([name, text]) =>
    [make("dt", {}, name), make("dd", {}, text)]));
}

function draw() {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  pen.clearRect(0, 0, width, height);
  const most = Math.max(30, ...samples.map((sample) => Math.max(sample.sink, sample.worker)));
  const longest = Math.max(50, ...samples.map((sample) => sample.latency));
  const top = Math.ceil(most / 30) * 30, slowest = Math.ceil(longest / 50) * 50;
  pen.font = `${10 * scale}px system-ui, "DejaVu Sans", sans-serif`;
  const left = 24 * scale, right = width - pen.measureText(`${slowest} ms`).width - 8 * scale, floor = height - 6 * scale, roof = 7 * scale;
  const y = (value, whole) => floor - (floor - roof) * Math.min(1, value / whole);

  pen.textBaseline = "middle";
  pen.lineWidth = scale;
  for (const share of [0, 0.5, 1]) {
    const level = y(share, 1);
    pen.strokeStyle = colour("--line");
    pen.beginPath();
    pen.moveTo(left, level);
    pen.lineTo(right, level);
    pen.stroke();
    pen.fillStyle = colour("--quiet");
    pen.textAlign = "right";
    pen.fillText(String(top * share), left - 5 * scale, level);
    pen.textAlign = "left";
    pen.fillText(`${slowest * share} ms`, right + 6 * scale, level);
  }
  const line = (key, whole, name) => {
    pen.strokeStyle = colour(name);
    pen.lineWidth = 1.8 * scale;
    pen.lineJoin = "round";
    pen.beginPath();
    samples.forEach((sample, index) => {
      const x = right - (right - left) * (samples.length - 1 - index) / (KEPT - 1);
      if (index) pen.lineTo(x, y(sample[key], whole));
      else pen.moveTo(x, y(sample[key], whole));
    });
    pen.stroke();
  };
  line("latency", slowest, "--amber");
  line("worker", top, "--green");
  line("sink", top, "--accent");
}

function round(value) {
  return (value || 0).toFixed(value >= 99.5 ? 0 : 1).replace(/\.0$/, "");
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${minutes % 60} min` : minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}
