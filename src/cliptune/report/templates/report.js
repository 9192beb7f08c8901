// Sorting: each heading becomes a button that cycles through descending, ascending and the original order.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const numeric = head.classList.contains("number");
    const steps = numeric ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
    button.addEventListener("click", () => {
      const next = steps[(steps.indexOf(head.getAttribute("aria-sort") ?? "") + 1) % steps.length];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      body.append(...(next ? sorted(original, column, numeric, next === "ascending" ? 1 : -1) : original));
    });
  });
}

function sorted(rows, column, numeric, sign) {
  const value = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // missing values stay last
    return sign * compare(x, y);
  });
}

// Tables wider than the page show a hint, and a shadow until they are scrolled to the last column.
for (const wide of document.querySelectorAll(".wide")) {
  const scroll = wide.querySelector(".scroll");
  const look = () => {
    const hidden = scroll.scrollWidth - scroll.clientWidth;
    wide.classList.toggle("overflowing", hidden > 1);
    wide.classList.toggle("ended", hidden > 1 && scroll.scrollLeft > hidden - 2);
  };
  scroll.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(scroll);
  look();
}
