// The page: a photo is chosen, taken or dropped; its answer is told in numbers and on the map.
import { PlaceMap } from "./map.js";

const $ = (id) => document.getElementById(id);
let map = null, limit = Infinity, asked = 0;

async function begin() {
  const answer = await fetch("/map");
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  limit = told.limit_bytes;
  const [best] = Object.values(told.quality);
  const quality = best ? `, median error ${length(best.median_m)} and ${angle(best.median_deg)}` : "";
  $("place").textContent = `${told.scene}: ${told.cameras.names.length} images${quality}`;
  document.title = `${told.scene}: ${document.title}`;
  $("whence").textContent = `images of the place, ${told.view.title}`;
  map = new PlaceMap($("map"), told);
}

async function localise(file) {
  if (!file) return; // text may be dropped
  const turn = ++asked; // a later photo has the page
  showPhoto(file);
  clear();
  if (file.size > limit) return fail(`${file.name}: has ${file.size} bytes, expected at most ${limit}; choose a smaller one`);
  state("working", "Localising", "");
  try {
    const response = await fetch("/localise", { method: "POST", body: file });
    const answer = await response.json();
    if (turn !== asked) return;
    if (response.ok) tell(answer);
    else fail(answer.error);
  } catch {
    if (turn === asked) fail("the service does not respond; is it still running?");
  }
}

function clear() {
  $("numbers").hidden = true;
  for (const key of document.querySelectorAll(".found")) key.hidden = true;
  $("centre").hidden = true;
  map?.show(null);
}

function tell(answer) {
  map?.show(answer);
  const title = answer.accepted ? "Found" : answer.pose ? "Not sure" : "Not found";
  const reason = answer.reason.charAt(0).toUpperCase() + answer.reason.slice(1);
  state(answer.accepted ? "accepted" : "refused", title, map?.outside ? `${reason}. It lies outside the map` : reason);
  $("numbers").hidden = false;
  $("numbers").classList.toggle("unsure", !answer.accepted);
  $("confidence").textContent = answer.confidence.toFixed(2);
  $("level").style.width = `${100 * answer.confidence}%`;
  $("least").style.left = `${100 * answer.minimum_confidence}%`;
  $("least").hidden = answer.minimum_confidence === 0;
  $("least").title = `accepted from ${answer.minimum_confidence}`;
  $("list").replaceChildren(...rows(answer).flatMap(([term, value]) => [item("dt", term), item("dd", value)]));
  $("json").textContent = JSON.stringify(answer, null, 1);
  for (const key of document.querySelectorAll(".found")) {
    key.hidden = !answer.pose;
    key.firstChild.classList.toggle("unsure", !answer.accepted);
  }
  $("centre").hidden = !answer.pose;
}

function rows(answer) {
  const { pose } = answer, signed = (x, digits) => x.toFixed(digits).replace("-", "−");
  const errors = (metres, degrees) => (metres === null ? "not known" : `${length(metres)}, ${angle(degrees)}`);
  return [
    ...(pose ? [
      ["position", `${pose.centre_m.map((x) => signed(x, 3)).join(", ")} m`],
      ["orientation (wxyz)", pose.quaternion_wxyz.map((x) => signed(x, 3)).join(", ")],
      ["stated error, 68 %", errors(answer.sigma_m, answer.sigma_deg)],
      ["stated error, 95 %", errors(answer.sigma95_m, answer.sigma95_deg)],
    ] : []),
    ["matched points", answer.points ? String(answer.points) : "none"],
    ["most similar", answer.nearest],
    ["time", `${Math.round(answer.milliseconds)} ms`],
  ];
}

function state(kind, title, text) {
  $("state").className = kind;
  $("state").replaceChildren(item("b", title), item("span", text));
}

function fail(message) {
  state("failed", "No answer", message);
}

function showPhoto(file) {
  const preview = $("preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.alt = file.name;
  preview.hidden = false;
  $("drop").classList.add("filled");
  document.querySelector("#hint span").textContent = "Choose another photo";
}

function item(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function length(metres) {
  const rounded = Number(metres.toPrecision(2)); // 99.7 cm would be 1.0e+2
  if (rounded < 0.01) return `${(1000 * rounded).toPrecision(2)} mm`;
  if (rounded < 1) return `${(100 * rounded).toPrecision(2)} cm`;
  return `${metres < 100 ? metres.toPrecision(3) : Math.round(metres)} m`;
}

function angle(degrees) {
  return `${degrees < 10 ? degrees.toPrecision(2) : Math.round(degrees)}°`;
}

for (const input of [$("file"), $("camera")]) {
  input.addEventListener("change", () => {
    localise(input.files[0]);
    input.value = ""; // the same one may be chosen again
  });
}
$("preview").addEventListener("error", () => { $("preview").hidden = true; }); // a kind that only the service reads
for (const kind of ["dragenter", "dragover"]) {
  window.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  localise(event.dataTransfer.files[0]);
});
$("closer").addEventListener("click", () => map?.zoom(0.6));
$("farther").addEventListener("click", () => map?.zoom(1 / 0.6));
$("whole").addEventListener("click", () => map?.showWhole());
$("centre").addEventListener("click", () => map?.showPhoto());
if (matchMedia("(pointer: coarse)").matches) document.querySelector("#hint span").textContent = "Choose a photo";
begin().catch((error) => fail(`the map cannot be read: ${error.message}`));
