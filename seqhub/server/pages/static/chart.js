// Show the values of the curves next to the pointer, or at a step chosen with the arrow keys.
for (const chart of document.querySelectorAll(".chart")) {
  const output = chart.nextElementSibling;
  const numbers = (text) => text.split(" ").map(Number);
  const curves = [...chart.querySelectorAll("polyline")].map((line) => ({
    name: line.dataset.name,
    places: line.getAttribute("points").split(" ").map((point) => Number(point.split(",")[0])),
    xs: numbers(line.dataset.x),
    ys: numbers(line.dataset.y),
  }));
  const columns = [...new Set(curves.flatMap((curve) => curve.places))].sort((a, b) => a - b);
  const pointer = document.createElementNS("http://www.w3.org/2000/svg", "line");
  pointer.setAttribute("class", "pointer-line");
  pointer.setAttribute("y1", 12);
  pointer.setAttribute("y2", 224);
  let column = columns.length;

  const nearest = (places, place) =>
    places.reduce((best, each, at) => (Math.abs(each - place) < Math.abs(places[best] - place) ? at : best), 0);
  const show = (place) => {
    pointer.setAttribute("x1", place);
    pointer.setAttribute("x2", place);
    chart.prepend(pointer);
    const found = curves.map((curve) => [curve, nearest(curve.places, place)]);
    const [first, at] = found.reduce((best, each) => (Math.abs(each[0].places[each[1]] - place) < Math.abs(best[0].places[best[1]] - place) ? each : best));
    const values = found.map(([curve, row]) => `${curve.name}: ${curve.ys[row]}`).join(" · ");
    output.textContent = `${chart.dataset.axis} ${first.xs[at]}: ${values}`;
  };
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    column = nearest(columns, ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width);
    show(columns[column]);
  });
  chart.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    column = Math.max(0, Math.min(columns.length - 1, column + by));
    show(columns[column]);
  });
  output.setAttribute("role", "status");
}
