// Draws each chart when it comes into view. A browser keeps few views of space alive at once, so
// one that is out of view is given up.
const FONT = { family: getComputedStyle(document.body).fontFamily, size: 12, color: "#22262a" };
const AXIS = { gridcolor: "#e6e8ea", linecolor: "#9aa2a9", zeroline: false, automargin: true };

function layoutOf(own, kind, narrow, lines) {
  const legendHeight = own.showlegend === false ? 0 : 20 * Math.ceil(lines / (narrow ? 2 : 3));
  const legend = { orientation: "h", x: 0, xanchor: "left", font: { size: 11 } };
  const layout = {
    font: FONT,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    dragmode: kind === "space" ? "turntable" : false,
    ...own,
    legend: kind === "space"
      ? { ...legend, y: 1, yanchor: "top" }
      : { ...legend, y: 0, yanchor: "bottom", yref: "container" },
    margin: kind === "space" ? { l: 0, r: 0, t: 0, b: 0 } : { l: 55, r: 15, t: 10, b: 48 + legendHeight, ...own.margin },
  };
  for (const name of ["xaxis", "yaxis"]) {
    if (own[name]) layout[name] = { ...AXIS, ...own[name] };
  }
  if (kind === "space") {
    const shown = { backgroundcolor: "#f5f6f7", gridcolor: "#dde1e4", tickfont: { size: 10 }, nticks: narrow ? 4 : 6 };
    const far = narrow ? 1.5 : 0.95;
    layout.scene = { ...own.scene, domain: { y: [0.13, 0.92] }, camera: { eye: { x: -0.55 * far, y: -1.2 * far, z: 0.95 * far } } };
    for (const name of ["xaxis", "yaxis", "zaxis"]) {
      layout.scene[name] = { ...shown, ...own.scene[name] };
    }
  }
  return layout;
}

function draw(box) {
  const { data, layout } = JSON.parse(box.querySelector("script")?.textContent ?? box.dataset.content);
  box.dataset.content ??= JSON.stringify({ data, layout });
  const kind = box.dataset.kind;
  const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
  box.replaceChildren();
  box.dataset.drawn = "yes";
  Plotly.newPlot(box, data, layoutOf(layout, kind, box.clientWidth < 450, data.length), config);
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.dataset.drawn) draw(target);
    if (!isIntersecting && target.dataset.drawn && target.dataset.kind === "space") {
      Plotly.purge(target);
      delete target.dataset.drawn;
    }
  }
}, { rootMargin: "200px" });
document.querySelectorAll(".chart").forEach((box) => observer.observe(box));
